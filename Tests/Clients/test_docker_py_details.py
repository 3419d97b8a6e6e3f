"""docker-py: what is easily got wrong between a client and an engine: sizes, early ends, odd names, many at once."""

import hashlib
import io
import os
import tarfile
import threading

import docker
import requests
from clientcase import Case, archive, eventually, members
from docker.utils.socket import frames_iter


class Shown(Case):
    """Inspect and lists show what was asked for, and nothing of how it was done."""

    def inspected(self, **options):
        container = self.create(**options)
        return self.client.api.inspect_container(container.id)

    def test_a_plain_containers_host_settings_are_the_defaults(self):
        found = self.inspected()["HostConfig"]
        expected = {"Binds": None, "NetworkMode": "default", "PortBindings": {}, "AutoRemove": False, "CapAdd": None,
                    "CapDrop": None, "Dns": [], "ExtraHosts": None, "IpcMode": "private", "Links": None, "PidMode": "",
                    "Privileged": False, "PublishAllPorts": False, "ReadonlyRootfs": False, "SecurityOpt": None,
                    "UTSMode": "", "UsernsMode": "", "ShmSize": 64 << 20, "Runtime": "runc", "Memory": 0, "NanoCpus": 0,
                    "CgroupParent": "", "CpusetCpus": "", "Devices": None, "OomKillDisable": False, "Ulimits": None}
        if found["NetworkMode"] == "bridge":  # since Docker 26
            expected["NetworkMode"] = "bridge"
        # Whether an empty list is one or null differs from one engine to the next.
        self.assertEqual({key: found.get(key) or None for key in expected},
                         {key: value or None for key, value in expected.items()})

    def test_a_plain_container_has_no_limit_on_processes(self):
        self.assertIsNone(self.inspected()["HostConfig"]["PidsLimit"])

    def test_the_image_and_the_command_are_shown_as_they_were_given(self):
        made = self.inspected(command=["sh", "-c", "echo 'a b'"], image="testbed/work:latest", entrypoint=["env"])
        self.assertEqual((made["Config"]["Image"], made["Config"]["Cmd"], made["Config"]["Entrypoint"]),
                         ("testbed/work:latest", ["sh", "-c", "echo 'a b'"], ["env"]))
        self.assertEqual((made["Path"], made["Args"]), ("env", ["sh", "-c", "echo 'a b'"]))
        self.assertEqual(made["Image"], self.client.images.get("testbed/work").id)
        self.assertEqual(made["Name"], f"/{self.tag}-1")

    def test_a_bind_mount_is_shown_with_the_devices_path(self):
        folder = self.folder()
        made = self.inspected(volumes=[f"{folder}:/d:ro"])
        self.assertEqual(made["HostConfig"]["Binds"], [f"{folder}:/d:ro"])
        self.assertEqual([(m["Type"], m["Source"], m["Destination"], m["RW"]) for m in made["Mounts"]],
                         [("bind", str(folder), "/d", False)])

    def test_a_bind_mount_is_shown_in_a_list_with_the_devices_path(self):
        folder = self.folder()
        container = self.start(volumes=[f"{folder}:/d"])
        found = self.client.api.containers(filters={"id": container.id})[0]
        self.assertEqual([(m["Source"], m["Destination"]) for m in found["Mounts"]], [(str(folder), "/d")])
        self.assertEqual([c.id for c in self.client.containers.list(filters={"volume": str(folder)})], [container.id])

    def test_the_hostname_is_the_id(self):
        container = self.start()
        self.assertEqual(container.exec_run("hostname").output.decode().strip(), container.id[:12])
        self.assertEqual(container.attrs["Config"]["Hostname"], container.id[:12])

    def test_a_list_entry_has_all_of_its_fields(self):
        container = self.start(["sh", "-c", "sleep 600"])
        found = self.client.api.containers(filters={"id": container.id})[0]
        self.assertLessEqual({"Id", "Names", "Image", "ImageID", "Command", "Created", "Ports", "Labels", "State",
                              "Status", "HostConfig", "NetworkSettings", "Mounts"}, set(found))
        self.assertEqual(found["ImageID"], self.client.images.get("busybox").id)
        self.assertEqual(found["Command"], "sh -c 'sleep 600'")
        self.assertEqual((found["State"], list(found["HostConfig"]), found["Ports"], found["Mounts"]),
                         ("running", ["NetworkMode"], [], []))
        self.assertIn(found["HostConfig"]["NetworkMode"], ("default", "bridge"))  # the latter since Docker 26
        self.assertRegex(found["Status"], "^Up .* seconds?$")
        self.assertEqual(list(found["NetworkSettings"]["Networks"]), ["bridge"])

    def test_the_exit_is_shown_in_the_list(self):
        container = self.finished(["sh", "-c", "exit 9"])
        self.assertRegex(self.client.api.containers(all=True, filters={"id": container.id})[0]["Status"],
                         r"^Exited \(9\) .* ago$")

    def test_a_container_out_of_memory_says_so(self):
        container = self.start(["python3", "-c", "x = bytearray(1 << 30); print(len(x))"], "testbed/python",
                               mem_limit="48m", memswap_limit="48m")
        self.assertEqual(container.wait()["StatusCode"], 137)
        container.reload()
        self.assertTrue(container.attrs["State"]["OOMKilled"])

    def test_labels_of_every_kind_come_back_as_they_were(self):
        labels = {"plain": "x", "empty": "", "quotes": "\"'`", "lines": "a\nb\tc", "letters": "äöü ☃ 🙂", "a.b/c-d": "e=f,g",
                  "json": '{"a": ["b", null]}', "back": "\\u0041\\"}
        container = self.start(labels=labels)
        for found in (self.client.containers.get(container.id).labels,
                      self.client.api.containers(filters={"id": container.id})[0]["Labels"]):
            self.assertEqual({key: found.get(key) for key in labels}, labels)
        self.assertEqual([c.id for c in self.client.containers.list(filters={"label": "letters=äöü ☃ 🙂",
                                                                             "name": self.tag})], [container.id])

    def test_an_ambiguous_prefix_is_an_error_and_a_unique_one_is_not(self):
        made = [self.create() for _ in range(17)]  # by then two ids begin with the same letter
        first = [c.id[0] for c in made]
        twice = next(letter for letter in first if first.count(letter) > 1)
        with self.assertRaises(docker.errors.APIError) as caught:
            self.client.containers.get(twice)
        self.assertIn("multiple ids", caught.exception.explanation.lower())
        self.assertEqual(self.client.containers.get(made[0].id[:20]).id, made[0].id)


class Amounts(Case):
    def test_megabytes_of_log_arrive_whole(self):
        container = self.finished(["sh", "-c", "i=0; while [ $i -lt 300 ]; do head -c 30000 /dev/zero | tr '\\0' x; echo; "
                                               "i=$((i+1)); done"])
        line = b"x" * 30000 + b"\n"
        self.assertEqual(hashlib.sha256(container.logs()).hexdigest(), hashlib.sha256(line * 300).hexdigest())

    def test_bytes_of_every_value_pass_both_ways(self):
        every = bytes(range(256)) * 64
        _, sock = self.start().exec_run("cat", stdin=True, socket=True)
        self.addCleanup(sock.close)
        raw = getattr(sock, "_sock", sock)
        raw.sendall(every)
        raw.shutdown(1)
        self.assertEqual(b"".join(data for _, data in frames_iter(sock, tty=False)), every)

    def test_megabytes_of_archive_go_in_by_a_generator(self):
        content = os.urandom(6 << 20)
        data = io.BytesIO(archive(big=content))
        container = self.start()
        container.put_archive("/tmp", iter(lambda: data.read(65536), b""))
        self.assertIn(hashlib.sha256(content).hexdigest().encode(), container.exec_run("sha256sum /tmp/big").output)
        self.assertEqual(members(container.get_archive("/tmp/big")[0])["big"], content)

    def test_a_folder_with_links_modes_and_owners_comes_out_as_it_is(self):
        container = self.finished(["sh", "-c", "mkdir -p /d/e; echo x > /d/e/f; chown 7:8 /d/e/f; chmod 4750 /d/e/f; "
                                               "ln -s e/f /d/soft; ln /d/e/f /d/hard"])
        chunks, _ = container.get_archive("/d")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            found = {m.name: m for m in tar}
        one = found["d/e/f"]
        self.assertEqual((one.mode & 0o7777, one.uid, one.gid), (0o4750, 7, 8))
        self.assertEqual((found["d/soft"].issym(), found["d/soft"].linkname), (True, "e/f"))
        self.assertTrue(one.islnk() or found["d/hard"].islnk())

    def test_an_image_goes_through_save_and_load_by_a_generator(self):
        saved = self.client.images.get("testbed/layers:v2").save(chunk_size=1 << 16, named="testbed/layers:v2")
        self.assertEqual([i.tags for i in self.client.images.load(saved)],
                         [self.client.images.get("testbed/layers:v2").tags])

    def test_twenty_containers_at_once(self):
        found, failed = {}, []

        def one(i):
            client = docker.from_env(timeout=120)
            try:
                found[i] = client.containers.run("busybox", f"echo {i}", remove=True, name=f"{self.tag}-{i}")
            except Exception as e:
                failed.append(e)
            finally:
                client.close()
        threads = [threading.Thread(target=one, args=(i,)) for i in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((found, failed), ({i: b"%d\n" % i for i in range(20)}, []))
        eventually("their removal", lambda: not self.client.api.containers(all=True, filters={"name": self.tag}))

    def test_one_client_in_many_threads(self):
        containers, failed = [self.start() for _ in range(3)], []

        def one(container):
            try:
                for n in range(5):
                    self.assertEqual(container.exec_run(f"echo {n}").output, b"%d\n" % n)
                    container.reload()
                    self.client.containers.list()
            except Exception as e:
                failed.append(e)
        threads = [threading.Thread(target=one, args=(c,)) for c in containers * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])


class EarlyEnds(Case):
    """A client that goes away in the middle leaves everything in order for the next one."""

    def test_a_log_that_is_no_longer_followed(self):
        container = self.start(["sh", "-c", "while :; do echo line; sleep 0.05; done"])
        for _ in range(5):
            stream = container.logs(stream=True, follow=True)
            self.assertEqual(next(stream), b"line\n")
            stream.close()
        self.assertEqual(self.status(container), "running")

    def test_an_archive_that_is_not_read_to_its_end(self):
        container = self.start(["sh", "-c", "dd if=/dev/urandom of=/big bs=1M count=20; exec sleep 600"])
        eventually("the file", lambda: container.exec_run("stat -c %s /big").output == b"20971520\n")
        for _ in range(3):
            # By hand: what get_archive returns keeps its connection, and an engine then holds on to the container.
            answer = self.client.api.get(self.client.api._url("/containers/{0}/archive", container.id), stream=True,
                                         params={"path": "/big"})
            self.assertTrue(answer.raw.read(65536))
            answer.close()
        self.assertEqual(len(members(container.get_archive("/big")[0])["big"]), 20 << 20)

    def test_stats_that_are_no_longer_read(self):
        container = self.start()
        for _ in range(3):
            stream = container.stats(decode=True)
            next(stream)
            stream.close()
        self.assertEqual(container.exec_run("echo here").output, b"here\n")

    def test_an_exec_whose_client_goes(self):
        container = self.start()
        _, sock = container.exec_run("cat", stdin=True, socket=True)
        getattr(sock, "_sock", sock).sendall(b"x\n")
        self.assertEqual(next(frames_iter(sock, tty=False)), (1, b"x\n"))
        sock.close()
        self.assertEqual(container.exec_run("echo here").output, b"here\n")

    def test_an_attached_client_that_goes_and_one_that_comes(self):
        container = self.create(["sh", "-c", "while read x; do echo got $x; done"], stdin_open=True)
        params = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        for n in range(3):
            sock = container.attach_socket(params=params)
            container.start()
            getattr(sock, "_sock", sock).sendall(b"%d\n" % n)
            self.assertEqual(next(frames_iter(sock, tty=False)), (1, b"got %d\n" % n))
            sock.close()
        self.assertEqual(self.status(container), "running")

    def test_a_wait_that_was_given_up_does_not_disturb_the_next(self):
        container = self.start("sleep 4")
        for _ in range(2):
            with self.assertRaises((requests.exceptions.ConnectionError, requests.exceptions.ReadTimeout)):
                container.wait(timeout=1)
        self.assertEqual(container.wait()["StatusCode"], 0)


class Names(Case):
    def test_a_name_is_free_again_at_once(self):
        name = self.name()
        for n in range(8):
            container = self.client.containers.create("busybox", "true", name=name)
            container.remove()
        container = self.start(["sh", "-c", "exit 0"], name=name)
        container.wait()

    def test_a_name_is_free_again_once_a_container_has_removed_itself(self):
        name = self.name()
        for _ in range(3):
            container = self.client.containers.run("busybox", "sleep 0.3", detach=True, auto_remove=True, name=name)
            container.wait(condition="removed")
        self.assertEqual(self.client.containers.list(all=True, filters={"name": name}), [])

    def test_names_are_one_space_wherever_containers_are(self):
        name = self.name()
        self.start(name=name, labels={"lighter.policy": "local"})
        with self.assertRaises(docker.errors.APIError) as caught:
            self.client.containers.create("busybox", name=name)
        self.assertEqual(caught.exception.status_code, 409)

    def test_names_with_every_character_that_is_allowed(self):
        name = f"{self.tag}_A.b-9"
        container = self.start(name=name)
        self.assertEqual(self.client.containers.get(name).id, container.id)
        self.assertEqual([c.name for c in self.client.containers.list(filters={"name": name})], [name])

    def test_an_engine_gives_a_name_to_one_without(self):
        container = self.owned(self.client.containers.create("busybox", "true"))
        self.assertRegex(container.name, "^[a-z]+_[a-z]+[0-9]*$")

    def test_two_with_one_name_at_once_are_one(self):
        name, made, failed = self.name(), [], []

        def one():
            client = docker.from_env(timeout=60)
            try:
                made.append(client.containers.create("busybox", "true", name=name).id)
            except docker.errors.APIError as e:
                failed.append(e.status_code)
            finally:
                client.close()
        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for ident in made:
            self.owned(self.client.containers.get(ident))
        self.assertEqual((len(made), failed), (1, [409] * 3))

    def test_folders_with_spaces_and_letters_of_all_kinds_are_mounted(self):
        folder = self.folder() / "a b ☃"
        folder.mkdir()
        (folder / "in ä").write_text("there\n")
        self.assertEqual(self.client.containers.run("busybox", ["cat", "/d e/in ä"], remove=True,
                                                    volumes={folder: {"bind": "/d e", "mode": "rw"}}), b"there\n")
