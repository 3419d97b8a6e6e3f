"""buildx with the docker driver: BuildKit's session through the front door."""

import json

from clientcase import Case, ran


RAN_FROM_CACHE = r"\] RUN .*\n#\d+ CACHED"


class Buildx(Case):
    def setUp(self):
        super().setUp()
        self.context = self.folder()

    def write(self, text, name="Dockerfile"):
        (self.context / name).write_text(text)

    def buildx(self, *args, expect=0, **options):
        return ran(["docker", "buildx", *args], expect, cwd=self.context, **options)

    def build(self, *args, tag=None, **options):
        """Builds the context; what was said of it."""
        tag = tag or f"{self.name()}:latest"
        self.gone(self.client.images.remove, tag, force=True)
        return self.buildx("build", "--progress", "plain", "-t", tag, *args, ".", **options).stderr

    def run_(self, image, command=None, **options):
        return self.client.containers.run(image, command, remove=True, **options)

    def test_build_and_run(self):
        self.write("FROM busybox\nCOPY page /page\nRUN echo more >> /page\nCMD cat /page\n")
        self.write("from the context\n", "page")
        self.build("--load")
        self.assert_built_away(f"{self.tag}-1")
        self.assertEqual(self.run_(f"{self.tag}-1"), b"from the context\nmore\n")

    def test_what_was_built_runs_in_the_background_where_the_policy_says(self):
        self.write("FROM busybox\nRUN echo built > /made\nCMD cat /made; exec sleep 600\n")
        self.build("--load")
        container = self.start(None, f"{self.tag}-1", name=f"{self.tag}-c")
        self.assert_away(container)
        self.assertEqual(next(container.logs(stream=True)), b"built\n")

    def test_stages_a_target_and_arguments(self):
        self.write("ARG BASE=none\nFROM busybox AS one\nARG WORD\nRUN echo $WORD > /x\n"
                   "FROM $BASE AS two\nCOPY --from=one /x /y\nCMD cat /y\nFROM busybox\nRUN exit 1\n")
        self.build("--load", "--build-arg", "BASE=testbed/work", "--build-arg", "WORD=given", "--target", "two")
        self.assertEqual(self.run_(f"{self.tag}-1"), b"given\n")

    def test_a_secret_is_there_while_building_and_not_in_the_image(self):
        self.write("FROM busybox\nRUN --mount=type=secret,id=word wc -c < /run/secrets/word > /size\n"
                   "CMD cat /size; ls /run/secrets 2>&1\n")
        self.write("hidden\n", "word")
        self.build("--load", "--secret", "id=word,src=word")
        self.assert_built_away(f"{self.tag}-1")
        said = self.run_(f"{self.tag}-1", ["sh", "-c", "cat /size; cat /run/secrets/word 2>/dev/null; true"])
        self.assertEqual(said, b"7\n")

    def test_a_second_build_is_cached_and_a_changed_file_is_not(self):
        self.write(f"FROM busybox\nRUN echo {self.tag}\nCOPY page /page\nRUN cat /page > /copy\nCMD cat /copy\n")
        self.write("one\n", "page")
        self.build("--load")
        self.assertRegex(self.build("--load"), RAN_FROM_CACHE)
        self.write("two\n", "page")
        said = self.build("--load")
        self.assertRegex(said, RAN_FROM_CACHE)
        self.assertEqual(self.run_(f"{self.tag}-3"), b"two\n")
        self.assertNotRegex(self.build("--load", "--no-cache"), RAN_FROM_CACHE)

    def test_a_cache_mount_lasts_from_build_to_build(self):
        for n in (1, 2):
            self.write(f"FROM busybox\nRUN --mount=type=cache,id={self.tag},target=/c echo {n} >> /c/log; cp /c/log /log\n"
                       "CMD cat /log\n")
            self.build("--load")
        self.assertEqual(self.run_(f"{self.tag}-2"), b"1\n2\n")

    def test_several_tags_labels_and_the_files_about_it(self):
        self.write("FROM busybox\nCMD echo hello\n")
        self.gone(self.client.images.remove, f"{self.tag}-other:v2", force=True)
        self.build("--load", "-t", f"{self.tag}-other:v2", "--label", "a=b", "--iidfile", "id", "--metadata-file", "about")
        image = self.client.images.get(f"{self.tag}-other:v2")
        self.assertEqual(set(image.tags), {f"{self.tag}-1:latest", f"{self.tag}-other:v2"})
        self.assertEqual(image.labels["a"], "b")
        self.assertEqual((self.context / "id").read_text().strip(), image.id)
        self.assertIn(image.id, json.loads((self.context / "about").read_text()).values())

    def test_the_result_as_files(self):
        self.write("FROM busybox AS made\nRUN echo built > /result\nFROM scratch\nCOPY --from=made /result /\n")
        self.buildx("build", "-o", "type=local,dest=out", ".")
        self.assertEqual((self.context / "out" / "result").read_text(), "built\n")

    def test_some_megabytes_of_context_arrive(self):
        self.write("FROM busybox\nCOPY big /big\nCMD wc -c < /big\n")
        (self.context / "big").write_bytes(bytes(range(256)) * (1 << 15))
        self.build("--load")
        self.assertEqual(self.run_(f"{self.tag}-1"), b"8388608\n")

    def test_a_step_that_fails_shows_its_output_and_code(self):
        self.write("FROM busybox\nRUN echo before the end; exit 7\n")
        said = self.build(expect=1)
        self.assertIn("before the end", said)
        self.assertIn("exit code: 7", said)

    def test_a_dockerfile_from_standard_input(self):
        self.gone(self.client.images.remove, f"{self.tag}-1", force=True)
        self.buildx("build", "-t", f"{self.tag}-1", "-", input="FROM busybox\nCMD echo typed\n")
        self.assertEqual(self.run_(f"{self.tag}-1"), b"typed\n")

    def test_bake(self):
        self.write("FROM busybox\nARG WORD\nRUN echo $WORD > /x\nCMD cat /x\n")
        self.write(json.dumps({"group": {"default": {"targets": ["a", "b"]}}, "target": {
            n: {"args": {"WORD": n}, "tags": [f"{self.tag}-{n}"]} for n in "ab"}}), "docker-bake.json")
        for n in "ab":
            self.gone(self.client.images.remove, f"{self.tag}-{n}", force=True)
        self.buildx("bake", "--load")
        for n in "ab":
            self.assert_built_away(f"{self.tag}-{n}")
        self.assertEqual([self.run_(f"{self.tag}-{n}") for n in "ab"], [b"a\n", b"b\n"])

    def test_the_builders_list_and_disk_use(self):
        self.assertRegex(self.buildx("ls").stdout, r"default\s+running")
        self.assertIn("Driver:", self.buildx("inspect").stdout)
        self.buildx("du")
