"""docker-py: named and anonymous volumes."""

import docker
from clientcase import Case, archive, members
from docker.types import Mount


class Volumes(Case):
    def run_(self, command, **options):
        return self.client.containers.run("busybox", ["sh", "-c", command], remove=True, **options)

    def test_create_inspect_list_and_remove(self):
        volume = self.volume(labels={"a": self.tag})
        found = self.client.volumes.get(volume.name)
        self.assertEqual((found.attrs["Driver"], found.attrs["Labels"], found.attrs["Scope"]),
                         ("local", {"a": self.tag}, "local"))
        self.assertEqual([v.name for v in self.client.volumes.list(filters={"label": f"a={self.tag}"})], [volume.name])
        self.assertEqual([v.name for v in self.client.volumes.list(filters={"name": volume.name})], [volume.name])
        volume.remove()
        with self.assertRaises(docker.errors.NotFound):
            self.client.volumes.get(volume.name)

    def test_an_engine_gives_a_name_to_one_without(self):
        volume = self.client.volumes.create()
        self.addCleanup(volume.remove)
        self.assertRegex(volume.name, "^[0-9a-f]{64}$")

    def test_creating_it_again_is_the_same_volume(self):
        volume = self.volume()
        self.assertEqual(self.client.volumes.create(volume.name).attrs["CreatedAt"], volume.attrs["CreatedAt"])

    def test_data_outlives_its_container(self):
        volume = self.volume()
        self.run_("echo kept > /d/x", volumes={volume.name: {"bind": "/d", "mode": "rw"}})
        self.assertEqual(self.run_("cat /d/x", volumes={volume.name: {"bind": "/d", "mode": "ro"}}), b"kept\n")

    def test_two_containers_share_one_at_once(self):
        volume = self.volume()
        writer = self.start(volumes=[f"{volume.name}:/w"])
        reader = self.start(mounts=[Mount("/r", volume.name, read_only=True)])
        writer.exec_run(["sh", "-c", "echo shared > /w/x"])
        self.assertEqual(reader.exec_run("cat /r/x").output, b"shared\n")
        for container in (writer, reader):
            self.assert_away(container)
        self.assertNotEqual(reader.exec_run("touch /r/y").exit_code, 0)

    def test_one_that_is_named_at_run_alone_is_made(self):
        name = self.name()
        self.addCleanup(lambda: self.client.volumes.get(name).remove())
        self.run_("echo made > /d/x", volumes={name: {"bind": "/d"}})
        self.assertEqual(self.client.volumes.get(name).name, name)
        self.assertEqual(self.run_("cat /d/x", volumes={name: {"bind": "/d"}}), b"made\n")

    def test_an_empty_one_takes_what_the_image_has_there(self):
        volume = self.volume()
        said = self.client.containers.run("testbed/web", ["cat", "/www/index.html"], remove=True,
                                          volumes={volume.name: {"bind": "/www"}})
        self.assertIn(b"testbed web", said)
        self.assertIn(b"testbed web", self.run_("cat /d/index.html", volumes={volume.name: {"bind": "/d"}}))

    def test_a_container_tells_its_mounts(self):
        volume = self.volume()
        container = self.create(volumes={volume.name: {"bind": "/d", "mode": "ro"}})
        container.reload()
        mount = container.attrs["Mounts"][0]
        self.assertEqual((mount["Type"], mount["Name"], mount["Destination"], mount["RW"]),
                         ("volume", volume.name, "/d", False))

    def test_containers_are_found_by_their_volume(self):
        volume = self.volume()
        container = self.create(volumes=[f"{volume.name}:/d"])
        found = self.client.containers.list(all=True, filters={"volume": volume.name})
        self.assertEqual([c.id for c in found], [container.id])

    def test_volumes_from_another_container(self):
        volume = self.volume()
        first = self.start(volumes=[f"{volume.name}:/d"])
        first.exec_run(["sh", "-c", "echo there > /d/x"])
        self.assertEqual(self.run_("cat /d/x", volumes_from=[first.name]), b"there\n")

    def test_an_anonymous_one_goes_with_its_container(self):
        container = self.start(["sh", "-c", "echo x > /d/x; exec sleep 600"], volumes=["/d"])
        container.reload()
        name = container.attrs["Mounts"][0]["Name"]
        self.assertRegex(name, "^[0-9a-f]{64}$")
        self.assertEqual(container.exec_run("cat /d/x").output, b"x\n")
        container.remove(force=True, v=True)
        with self.assertRaises(docker.errors.NotFound):
            self.client.volumes.get(name)

    def test_one_in_use_is_not_removed(self):
        volume = self.volume()
        container = self.create(volumes=[f"{volume.name}:/d"])
        with self.assertRaises(docker.errors.APIError) as caught:
            volume.remove()
        self.assertEqual(caught.exception.status_code, 409)
        self.assertIn("in use", caught.exception.explanation)
        container.remove()
        volume.remove()

    def test_prune_removes_the_unused_that_the_filter_names(self):
        used, unused = self.volume(labels={"group": self.tag}), self.volume(labels={"group": self.tag})
        other = self.volume()
        self.create(volumes=[f"{used.name}:/d"])
        filters = {"label": f"group={self.tag}"}
        # From 1.42 on a prune passes over those with names, unless it is told to take all.
        if tuple(map(int, self.client.api.api_version.split("."))) >= (1, 42):
            self.assertEqual(self.client.volumes.prune(filters=filters)["VolumesDeleted"] or [], [])
            filters["all"] = True
        found = self.client.volumes.prune(filters=filters)
        self.assertEqual(found["VolumesDeleted"], [unused.name])
        self.assertEqual(self.client.volumes.get(other.name).name, other.name)

    def test_driver_options(self):
        volume = self.volume(driver="local", driver_opts={"type": "tmpfs", "device": "tmpfs", "o": "size=1m"})
        self.assertEqual(self.client.volumes.get(volume.name).attrs["Options"]["type"], "tmpfs")
        said = self.run_("df -k /d | tail -1 | awk '{print $2}'", volumes={volume.name: {"bind": "/d"}})
        self.assertEqual(said, b"1024\n")

    def test_files_by_archive_into_a_volume(self):
        volume = self.volume()
        container = self.create(volumes=[f"{volume.name}:/d"])
        container.put_archive("/d", archive(a_txt="in the volume\n"))
        self.assertEqual(self.run_("cat /d/a.txt", volumes=[f"{volume.name}:/d"]), b"in the volume\n")
        self.assertEqual(members(container.get_archive("/d/a.txt")[0]), {"a.txt": b"in the volume\n"})
