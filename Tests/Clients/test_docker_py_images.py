"""docker-py: images, from build to prune."""

import io

import docker
from clientcase import Case, archive


class Images(Case):
    def build(self, text=None, tag=None, **options):
        """An image built from one Dockerfile, or as the options say: it and what was said meanwhile."""
        tag = tag or f"{self.name()}:latest"
        if text is not None:
            options["fileobj"] = io.BytesIO(text.encode())
        self.gone(self.client.images.remove, tag, force=True)
        image, log = self.client.images.build(tag=tag, rm=True, **options)
        return image, "".join(line.get("stream", "") for line in log)

    def run_(self, image, command=None, **options):
        return self.client.containers.run(image, command, remove=True, **options)

    def test_list_and_get(self):
        found = {tag for image in self.client.images.list() for tag in image.tags}
        self.assertLessEqual({"busybox:latest", "testbed/work:latest"}, found)
        by_name = self.client.images.get("busybox")
        for ref in (by_name.id, by_name.short_id, "busybox:latest"):
            self.assertEqual(self.client.images.get(ref).id, by_name.id)
        self.assertEqual(by_name.attrs["Architecture"], "amd64")
        self.assertEqual(by_name.labels, {})

    def test_list_filters(self):
        image, _ = self.build(f"FROM busybox\nLABEL group={self.tag}\n")
        self.assertEqual([i.id for i in self.client.images.list(filters={"label": f"group={self.tag}"})], [image.id])
        self.assertEqual([i.id for i in self.client.images.list(name=f"{self.tag}-1")], [image.id])
        self.assertEqual([i.id for i in self.client.images.list(filters={"reference": f"{self.tag}*"})], [image.id])
        self.assertEqual(self.client.images.list(filters={"dangling": True, "label": f"group={self.tag}"}), [])
        self.assertEqual([i.id for i in self.client.images.list(filters={"since": "busybox", "label": f"group={self.tag}"})],
                         [image.id])

    def test_tag_and_remove(self):
        self.assertTrue(self.client.images.get("busybox").tag(self.tag, "v1"))
        self.assertIn(f"{self.tag}:v1", self.client.images.get("busybox").tags)
        self.assertEqual(self.run_(f"{self.tag}:v1", "echo tagged"), b"tagged\n")
        self.client.images.remove(f"{self.tag}:v1")
        with self.assertRaises(docker.errors.ImageNotFound):
            self.client.images.get(f"{self.tag}:v1")
        self.assertIn("busybox:latest", self.client.images.get("busybox").tags)

    def test_build_from_a_file(self):
        image, said = self.build("FROM busybox\nRUN echo built > /made\nCMD cat /made\n")
        self.assertIn("Successfully built", said)
        self.assertEqual(self.run_(image.id), b"built\n")

    def test_build_from_a_folder_with_arguments_a_target_and_labels(self):
        folder = self.folder()
        (folder / "data").write_text("from the context\n")
        (folder / "secret").write_text("not sent\n")
        (folder / ".dockerignore").write_text("secret\n")
        (folder / "Other").write_text("FROM busybox AS first\nARG WHO\nCOPY . /d/\nRUN echo $WHO > /who\n"
                                      "FROM busybox AS second\nRUN exit 1\n")
        image, _ = self.build(path=str(folder), dockerfile="Other", buildargs={"WHO": "me"}, target="first",
                              labels={"a": "b"})
        self.assertEqual(self.run_(image.id, ["sh", "-c", "ls /d; cat /d/data /who"]),
                         b"Other\ndata\nfrom the context\nme\n")
        self.assertEqual(image.labels["a"], "b")

    def test_build_from_an_archive(self):
        context = archive(Dockerfile="FROM busybox\nCOPY a.txt /\nCMD cat /a.txt\n", a_txt="in the archive\n")
        image, _ = self.build(fileobj=io.BytesIO(context), custom_context=True)
        self.assertEqual(self.run_(image.id), b"in the archive\n")

    def test_stages_copy_from_one_another(self):
        image, _ = self.build("FROM busybox AS one\nRUN echo carried > /x\nFROM busybox\nCOPY --from=one /x /y\n"
                              "CMD cat /y\n")
        self.assertEqual(self.run_(image.id), b"carried\n")

    def test_a_second_build_uses_the_cache_unless_told_not_to(self):
        dockerfile = f"FROM busybox\nRUN echo {self.tag} > /x\n"
        first, _ = self.build(dockerfile)
        second, said = self.build(dockerfile)
        self.assertEqual(second.id, first.id)
        self.assertIn("Using cache", said)
        third, said = self.build(dockerfile, nocache=True)
        self.assertNotIn("Using cache", said)
        self.assertNotEqual(third.id, first.id)

    def test_a_build_that_fails_raises_BuildError_with_its_log(self):
        with self.assertRaises(docker.errors.BuildError) as caught:
            self.build("FROM busybox\nRUN echo before; exit 5\n")
        self.assertIn("returned a non-zero code: 5", caught.exception.msg)
        self.assertIn("before\n", [line.get("stream") for line in caught.exception.build_log])

    def test_a_bad_dockerfile_is_an_error_that_shows_the_line(self):
        with self.assertRaises((docker.errors.APIError, docker.errors.BuildError)) as caught:
            self.build("FROM busybox\nNONSENSE here\n")
        self.assertIn("NONSENSE", str(caught.exception))

    def test_a_missing_base_is_an_error_that_names_it(self):
        with self.assertRaises((docker.errors.APIError, docker.errors.BuildError)) as caught:
            self.build(f"FROM 127.0.0.1:1/{self.tag}\n")
        self.assertIn("127.0.0.1:1", str(caught.exception))

    def test_what_was_just_built_runs_in_the_background_where_the_policy_says(self):
        image, _ = self.build("FROM busybox\nRUN echo fresh > /made\nCMD cat /made; exec sleep 600\n")
        container = self.start(None, image.id)
        self.assert_away(container)
        self.assertEqual(next(container.logs(stream=True)), b"fresh\n")
        self.assertEqual(container.image.id, image.id)

    def test_rebuilt_under_its_name_the_new_one_runs(self):
        for word in (b"old\n", b"new\n"):
            self.build(f"FROM busybox\nCMD echo {word.decode().strip()}\n", tag=f"{self.tag}:latest")
            self.assertEqual(self.run_(f"{self.tag}:latest"), word)

    def test_history(self):
        image, _ = self.build("FROM busybox\nRUN echo x > /x\nENV A=b\n")
        found = image.history()
        self.assertIn("ENV A=b", found[0]["CreatedBy"])
        self.assertIn("echo x > /x", found[1]["CreatedBy"])
        self.assertGreater(found[1]["Size"], 0)

    def test_save_and_load(self):
        image, _ = self.build("FROM busybox\nRUN echo saved > /x\nCMD cat /x\n")
        saved = b"".join(image.save(named=True))
        name = image.tags[0]
        self.client.images.remove(image.id, force=True)
        with self.assertRaises(docker.errors.ImageNotFound):
            self.client.images.get(name)
        loaded = self.client.images.load(saved)
        self.assertEqual([i.id for i in loaded], [image.id])
        self.assertEqual(self.run_(name), b"saved\n")

    def test_import_of_an_exported_file_system(self):
        container = self.finished(["sh", "-c", "echo kept > /kept"])
        exported = self.folder() / "fs.tar"
        exported.write_bytes(b"".join(container.export()))
        self.client.api.import_image_from_file(str(exported), repository=self.tag, tag="v1", changes=["ENV A=b"])
        self.gone(self.client.images.remove, f"{self.tag}:v1", force=True)
        self.assertEqual(self.run_(f"{self.tag}:v1", ["sh", "-c", "cat /kept; echo $A"]), b"kept\nb\n")

    def test_an_image_in_use_is_not_removed_without_force(self):
        image, _ = self.build("FROM busybox\nCMD sleep 600\n")
        self.start(None, image.id)
        with self.assertRaises(docker.errors.APIError) as caught:
            self.client.images.remove(image.id)
        self.assertEqual(caught.exception.status_code, 409)

    def test_prune_removes_what_dangles(self):
        dockerfile = "FROM busybox\nLABEL group={0}\nRUN echo {1} > /x\n"
        first, _ = self.build(dockerfile.format(self.tag, 1), tag=f"{self.tag}:latest")
        second, _ = self.build(dockerfile.format(self.tag, 2), tag=f"{self.tag}:latest")
        found = self.client.images.prune(filters={"dangling": True, "label": f"group={self.tag}"})
        self.assertIn(first.id, [d.get("Deleted") for d in found["ImagesDeleted"]])
        self.assertEqual([i.id for i in self.client.images.list(filters={"label": f"group={self.tag}"})], [second.id])

    def test_prune_of_the_builders_cache(self):
        self.assertIn("SpaceReclaimed", self.client.images.prune_builds())

    def test_pull_and_search_without_a_registry_are_APIErrors(self):
        for call, arguments in ((self.client.images.pull, (f"127.0.0.1:1/{self.tag}", "latest")),
                                (self.client.images.get_registry_data, (f"127.0.0.1:1/{self.tag}",)),
                                (self.client.images.search, (f"127.0.0.1:1/{self.tag}",))):
            with self.subTest(call=call.__name__), self.assertRaises(docker.errors.APIError) as caught:
                call(*arguments)
            self.assertIn("127.0.0.1:1", str(caught.exception))

    def test_push_without_a_registry_reports_its_error_in_the_stream(self):
        self.client.images.get("busybox").tag(f"127.0.0.1:1/{self.tag}", "v1")
        self.gone(self.client.images.remove, f"127.0.0.1:1/{self.tag}:v1")
        found = list(self.client.images.push(f"127.0.0.1:1/{self.tag}", "v1", stream=True, decode=True))
        self.assertIn("127.0.0.1:1", found[-1]["error"])
