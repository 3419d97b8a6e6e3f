"""docker-py: the low-level client, what describes the engine, and the types of errors."""

import docker
from clientcase import IMAGES, WORLD, Case


class LowLevel(Case):
    def made(self, *args, **options):
        found = self.client.api.create_container(*args, name=self.name(), **options)
        self.gone(self.client.api.remove_container, found["Id"], force=True, v=True)
        return found

    def test_a_container_from_a_host_config(self):
        api = self.client.api
        config = api.create_host_config(mem_limit="64m", port_bindings={8080: None}, restart_policy={"Name": "no"},
                                        binds=[], cap_drop=["MKNOD"], tmpfs={"/t": ""})
        made = self.made("testbed/web", host_config=config, ports=[8080], labels=["a", "b"], environment=["A=1"],
                         volumes=["/anonymous"], stop_signal="SIGINT")
        self.assertEqual(set(made), {"Id", "Warnings"})
        api.start(made)
        found = api.inspect_container(made)
        self.assertEqual(found["Id"], made["Id"])
        self.assertEqual(found["HostConfig"]["Memory"], 64 << 20)
        self.assertEqual(found["HostConfig"]["CapDrop"], ["MKNOD"])
        self.assertEqual(found["Config"]["StopSignal"], "SIGINT")
        self.assertIn("A=1", found["Config"]["Env"])
        self.assertEqual([m["Destination"] for m in found["Mounts"]], ["/anonymous"])
        self.assertIn("testbed web", self.fetch(api.port(made, 8080)[0]["HostPort"]))
        self.assert_away(f"{self.tag}-1")

    def test_a_whole_life(self):
        api = self.client.api
        made = self.made("busybox", ["sh", "-c", "echo hello; exit 2"])
        api.start(made["Id"])
        self.assertEqual(api.wait(made["Id"])["StatusCode"], 2)
        self.assertEqual(api.logs(made["Id"]), b"hello\n")
        found = api.inspect_container(made["Id"])["State"]
        self.assertEqual((found["Status"], found["ExitCode"], found["Running"]), ("exited", 2, False))
        api.remove_container(made["Id"])
        self.assertEqual(api.containers(all=True, filters={"name": self.tag}), [])

    def test_a_list_with_sizes(self):
        container = self.finished(["sh", "-c", "dd if=/dev/zero of=/big bs=1k count=100"])
        found = self.client.api.containers(all=True, size=True, filters={"id": container.id})[0]
        self.assertGreaterEqual(found["SizeRw"], 100 << 10)
        self.assertGreater(found["SizeRootFs"], found["SizeRw"])

    def test_only_ids(self):
        container = self.start()
        found = self.client.api.containers(quiet=True, filters={"name": self.tag})
        self.assertEqual([c["Id"] for c in found], [container.id])

    def test_a_disconnected_client_raises_an_error_of_the_library(self):
        with self.assertRaises(docker.errors.DockerException):
            docker.DockerClient(base_url=f"unix://{WORLD.scratch}/nothing.sock", timeout=2).ping()


class TheEngine(Case):
    def test_ping_and_version(self):
        self.assertTrue(self.client.ping())
        found = self.client.version()
        self.assertEqual(found["Os"], "linux")
        self.assertLessEqual({"Version", "ApiVersion", "MinAPIVersion", "Arch", "KernelVersion"}, set(found))

    def test_info(self):
        found = self.client.info()
        self.assertGreaterEqual(found["Images"], len(IMAGES))
        self.assertTrue(found["ServerVersion"])
        self.assertEqual(found["OSType"], "linux")

    def test_every_version_from_1_24_that_the_library_can_speak(self):
        for version in ("1.24", "1.30", "1.41"):
            with self.subTest(version=version):
                try:
                    client = docker.DockerClient(base_url=WORLD.front_door, version=version)
                except docker.errors.DockerException:
                    self.assertEqual(version, "1.24")  # newer releases of the library have dropped it
                    continue
                self.assertEqual(client.containers.run("busybox", ["echo", "x"], remove=True), b"x\n")
                client.close()

    def test_info_counts_containers(self):
        before = self.client.info()
        self.start()
        after = self.client.info()
        for count in ("Containers", "ContainersRunning"):
            self.assertEqual(after[count], before[count] + 1)

    def test_df_counts_containers(self):
        container = self.finished(["sh", "-c", "dd if=/dev/zero of=/big bs=1k count=100"])
        found = {c["Id"]: c.get("SizeRw", 0) for c in self.client.df()["Containers"] or ()}
        self.assertGreaterEqual(found[container.id], 100 << 10)

    def test_df_counts_images_and_volumes(self):
        volume = self.volume()
        found = self.client.df()
        self.assertIn(volume.name, {v["Name"] for v in found["Volumes"] or ()})
        self.assertTrue({t for i in found["Images"] for t in i["RepoTags"] or ()} >= set(IMAGES))

    def test_what_needs_a_swarm_says_so(self):
        for what in (self.client.services, self.client.nodes, self.client.secrets, self.client.configs):
            with self.subTest(what=what), self.assertRaises(docker.errors.APIError) as caught:
                what.list()
            self.assertEqual(caught.exception.status_code, 503)
            self.assertIn("swarm", caught.exception.explanation)

    def test_plugins(self):
        self.assertEqual(self.client.plugins.list(), [])


class Errors(Case):
    def caught(self, kind, status, call, *args, **options):
        with self.assertRaises(kind) as caught:
            call(*args, **options)
        self.assertEqual(caught.exception.status_code, status)
        self.assertTrue(caught.exception.explanation)
        return caught.exception.explanation

    def exported(self, name):
        return list(self.client.api.export(name))  # asks the engine only when it is read

    def test_a_missing_container_is_NotFound(self):
        found = self.caught(docker.errors.NotFound, 404, self.client.containers.get, self.name())
        self.assertEqual(found, f"No such container: {self.tag}-1")

    def test_a_missing_container_is_NotFound_whatever_is_done(self):
        api, name = self.client.api, self.name()
        for call, args in ((api.start, (name,)), (api.stop, (name,)), (api.kill, (name,)), (api.logs, (name,)),
                           (api.wait, (name,)), (api.remove_container, (name,)), (api.rename, (name, "other")),
                           (api.top, (name,)), (api.diff, (name,)), (api.pause, (name,)), (api.restart, (name,)),
                           (api.exec_create, (name, "true")), (api.attach, (name,)), (api.resize, (name, 1, 1)),
                           (api.get_archive, (name, "/")), (api.update_container, (name,)), (self.exported, (name,))):
            with self.subTest(call=call.__name__):
                self.assertIn(name, self.caught(docker.errors.NotFound, 404, call, *args))

    def test_a_missing_image_is_ImageNotFound(self):
        found = self.caught(docker.errors.ImageNotFound, 404, self.client.images.get, f"{self.tag}:none")
        self.assertIn(f"{self.tag}:none", found)
        self.caught(docker.errors.ImageNotFound, 404, self.client.api.create_container, f"{self.tag}:none", "true")

    def test_a_name_in_use_is_a_conflict(self):
        container = self.start()
        found = self.caught(docker.errors.APIError, 409, self.client.containers.create, "busybox", name=container.name)
        self.assertIn(f'"/{container.name}" is already in use', found)
        other = self.create()
        self.caught(docker.errors.APIError, 409, other.rename, container.name)

    def test_a_bad_name_is_a_bad_request(self):
        found = self.caught(docker.errors.APIError, 400, self.client.containers.create, "busybox", name="a b/c")
        self.assertIn("a b/c", found)

    def test_states_that_do_not_allow_it(self):
        created, running = self.create(), self.start()
        self.caught(docker.errors.APIError, 409, created.pause)
        self.caught(docker.errors.APIError, 409, created.kill)
        self.caught(docker.errors.APIError, 409, created.top)
        self.caught(docker.errors.APIError, 500, running.unpause)

    def test_bad_values_are_refused(self):
        running = self.start()
        self.caught(docker.errors.APIError, 400, self.client.containers.create, "busybox", mem_limit=1000)
        self.caught(docker.errors.APIError, 400, running.kill, signal="NOSUCH")
        self.caught(docker.errors.APIError, 400, self.client.containers.create, "busybox",
                    restart_policy={"Name": "nonsense"})

    def test_missing_networks_and_volumes_are_NotFound(self):
        self.caught(docker.errors.NotFound, 404, self.client.networks.get, self.name())
        self.caught(docker.errors.NotFound, 404, self.client.volumes.get, self.name())
        container = self.create(network=self.name())
        self.caught(docker.errors.NotFound, 404, container.start)

    def test_errors_tell_the_side_at_fault(self):
        with self.assertRaises(docker.errors.APIError) as caught:
            self.client.containers.get(self.name())
        self.assertTrue(caught.exception.is_client_error())
        self.assertFalse(caught.exception.is_server_error())
        self.assertIn("404 Client Error", str(caught.exception))
