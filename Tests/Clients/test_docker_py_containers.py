"""docker-py: containers, from run to prune."""

import datetime
import json
import time

import docker
import requests
from clientcase import WORLD, Case, archive, eventually, members
from docker.types import LogConfig, Mount, Ulimit


class Running(Case):
    def run_(self, command, image="busybox", **options):
        options.setdefault("remove", True)
        return self.client.containers.run(image, command, **options)

    def test_run_returns_what_was_written(self):
        self.assertEqual(self.run_(["echo", "hello"]), b"hello\n")

    def test_run_leaves_standard_error_out_unless_asked(self):
        command = ["sh", "-c", "echo out; sleep 0.2; echo err >&2"]
        self.assertEqual(self.run_(command), b"out\n")
        self.assertEqual(self.run_(command, stdout=False, stderr=True), b"err\n")
        self.assertEqual(sorted(self.run_(command, stderr=True).split()), [b"err", b"out"])

    def test_run_streams_lines_while_they_come(self):
        stream = self.run_(["sh", "-c", "echo one; sleep 1; echo two"], stream=True, remove=False, name=self.name())
        self.addCleanup(lambda: self.client.containers.get(f"{self.tag}-1").remove(force=True))
        began = time.monotonic()
        self.assertEqual(next(stream), b"one\n")
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(list(stream), [b"two\n"])

    def test_a_command_that_fails_raises_ContainerError_with_its_code_and_complaint(self):
        with self.assertRaises(docker.errors.ContainerError) as caught:
            self.run_(["sh", "-c", "echo bad >&2; exit 3"])
        self.assertEqual(caught.exception.exit_status, 3)
        self.assertEqual(caught.exception.stderr, b"bad\n")

    def test_a_missing_program_is_an_APIError_that_names_it(self):
        with self.assertRaises(docker.errors.APIError) as caught:
            self.run_(["/no/such/program"], name=self.name())
        self.client.containers.get(f"{self.tag}-1").remove(force=True)
        self.assertEqual(caught.exception.status_code, 400)
        self.assertIn("/no/such/program", caught.exception.explanation)

    def test_environment_directory_user_and_hostname(self):
        said = self.run_(["sh", "-c", "echo $A $B; pwd; id -u; hostname"], environment={"A": "1", "B": "two words"},
                         working_dir="/etc", user="1000", hostname="there")
        self.assertEqual(said, b"1 two words\n/etc\n1000\nthere\n")

    def test_entrypoint_and_labels(self):
        name = self.name()
        self.assertEqual(self.run_(["there"], entrypoint=["echo", "hello"]), b"hello there\n")
        container = self.create(name=name, labels={"a": "1", "b": ""})
        self.assertLessEqual({"a": "1", "b": ""}.items(), self.client.containers.get(name).labels.items())
        self.assertEqual(container.name, name)

    def test_memory_and_process_limits(self):
        container = self.create(mem_limit="64m", memswap_limit="128m", pids_limit=50, nano_cpus=100_000_000,
                                cpu_shares=512)
        found = self.client.containers.get(container.id).attrs["HostConfig"]
        self.assertEqual([found[k] for k in ("Memory", "MemorySwap", "PidsLimit", "NanoCpus", "CpuShares")],
                         [64 << 20, 128 << 20, 50, 100_000_000, 512])

    def test_ulimits_and_shared_memory(self):
        said = self.run_(["sh", "-c", "ulimit -n; df -k /dev/shm | tail -1 | awk '{print $2}'"], shm_size="32m",
                         ulimits=[Ulimit(name="nofile", soft=1000, hard=1000)])
        self.assertEqual(said.split(), [b"1000", b"32768"])

    def test_a_read_only_root_and_a_tmpfs(self):
        said = self.run_(["sh", "-c", "touch /x 2>/dev/null || echo refused; touch /t/x && echo written"],
                         read_only=True, tmpfs={"/t": "size=1m"})
        self.assertEqual(said, b"refused\nwritten\n")

    def test_dropped_capabilities(self):
        with self.assertRaises(docker.errors.ContainerError):
            self.run_(["chown", "1:1", "/tmp"], cap_drop=["ALL"])

    def test_names_of_hosts_and_servers_for_names(self):
        said = self.run_(["sh", "-c", "grep other /etc/hosts; cat /etc/resolv.conf"],
                         extra_hosts={"other": "10.1.2.3"}, dns=["10.9.9.9"], dns_search=["example.org"])
        for part in (b"10.1.2.3\tother", b"nameserver 10.9.9.9", b"search example.org"):
            self.assertIn(part, said)

    def test_added_capabilities(self):
        self.assertEqual(self.run_(["hostname", "other"], cap_add=["SYS_ADMIN"]), b"")

    def test_a_privileged_one_is_made_on_the_device(self):
        container = self.create(privileged=True)
        self.assertTrue(self.client.containers.get(container.id).attrs["HostConfig"]["Privileged"])
        if not WORLD.plain:
            self.assertEqual(self.whereabouts(container.name), {WORLD.device})

    def test_an_init_is_process_one(self):
        self.assertIn(b"init", self.run_(["cat", "/proc/1/cmdline"], init=True))

    def test_a_bind_mount_is_read_and_written(self):
        folder = self.folder()
        (folder / "in").write_text("from the device\n")
        said = self.run_(["sh", "-c", "cat /d/in; echo made > /d/out"], volumes={folder: {"bind": "/d", "mode": "rw"}})
        self.assertEqual(said, b"from the device\n")
        self.assertEqual((folder / "out").read_text(), "made\n")

    def test_a_read_only_bind_mount_by_Mount(self):
        folder = self.folder()
        (folder / "in").write_text("x")
        with self.assertRaises(docker.errors.ContainerError) as caught:
            self.run_(["touch", "/d/out"], mounts=[Mount("/d", str(folder), type="bind", read_only=True)])
        self.assertIn(b"Read-only", caught.exception.stderr)

    def test_a_Mount_of_a_missing_folder_is_refused(self):
        with self.assertRaises(docker.errors.APIError) as caught:
            self.run_(["true"], mounts=[Mount("/d", "/srv/no/such/folder", type="bind")])
        self.assertEqual(caught.exception.status_code, 400)
        self.assertIn("/srv/no/such/folder", caught.exception.explanation)

    def test_a_background_container_runs_where_the_policy_says(self):
        container = self.start()
        self.assertEqual(self.status(container), "running")
        self.assert_away(container)

    def test_an_auto_removed_container_is_gone_after_its_end(self):
        container = self.client.containers.run("busybox", "sleep 1", detach=True, auto_remove=True, name=self.name())
        eventually("its removal", lambda: not self.client.api.containers(all=True, filters={"name": container.name}))
        with self.assertRaises(docker.errors.NotFound):
            self.client.containers.get(container.id)


class Containers(Case):
    def test_get_by_name_id_and_short_id(self):
        made = self.create()
        for ref in (made.name, made.id, made.short_id):
            self.assertEqual(self.client.containers.get(ref).id, made.id)

    def test_labels_are_those_given(self):
        self.assertEqual(self.create(labels={"a": "b"}).labels, {"a": "b"})

    def test_states_from_created_to_exited(self):
        container = self.create()
        self.assertEqual(self.status(container), "created")
        container.start()
        self.assertEqual(self.status(container), "running")
        container.pause()
        self.assertEqual(self.status(container), "paused")
        container.unpause()
        self.assertEqual(self.status(container), "running")
        container.stop(timeout=0)
        self.assertEqual(self.status(container), "exited")
        container.start()
        self.assertEqual(self.status(container), "running")

    def test_start_and_stop_twice_are_no_errors(self):
        container = self.start()
        container.start()
        container.stop(timeout=0)
        container.stop(timeout=0)

    def test_wait_tells_the_exit_code(self):
        self.assertEqual(self.start(["sh", "-c", "exit 7"]).wait()["StatusCode"], 7)

    def test_wait_for_the_next_exit_and_the_removal(self):
        container = self.start("sleep 1")
        self.assertEqual(container.wait(condition="next-exit")["StatusCode"], 0)
        container = self.client.containers.run("busybox", ["sh", "-c", "sleep 1; exit 4"], detach=True,
                                               auto_remove=True, name=self.name())
        self.assertEqual(container.wait(condition="removed")["StatusCode"], 4)

    def test_wait_gives_up_after_its_timeout(self):
        with self.assertRaises((requests.exceptions.ConnectionError, requests.exceptions.ReadTimeout)):
            self.start().wait(timeout=1)

    def test_kill_with_a_signal(self):
        container = self.start(["sh", "-c", "trap 'echo got; exit 9' USR1; echo ready; while :; do sleep 0.1; done"])
        eventually("the trap", lambda: b"ready" in container.logs())
        container.kill("SIGUSR1")
        self.assertEqual(container.wait()["StatusCode"], 9)
        self.assertIn(b"got", container.logs())

    def test_kill_without_a_signal_kills(self):
        container = self.start()
        container.kill()
        self.assertEqual(container.wait()["StatusCode"], 137)

    def test_stop_kills_after_its_timeout(self):
        container = self.start(["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"])
        container.stop(timeout=1)
        self.assertEqual(container.wait()["StatusCode"], 137)

    def test_restart_starts_anew(self):
        container = self.start(["sh", "-c", "echo started; exec sleep 600"])
        eventually("the first start", lambda: container.logs().count(b"started") == 1)
        container.reload()
        before = container.attrs["State"]["StartedAt"]
        container.restart(timeout=0)
        container.reload()
        self.assertNotEqual(container.attrs["State"]["StartedAt"], before)
        eventually("the second start", lambda: container.logs().count(b"started") == 2)

    def test_a_restart_policy_restarts(self):
        container = self.start(["sh", "-c", "exit 1"], restart_policy={"Name": "on-failure", "MaximumRetryCount": 2})

        def done():
            container.reload()
            return container.attrs["RestartCount"] == 2 and container.status == "exited"
        eventually("two restarts", done)

    def test_rename(self):
        container = self.start()
        other = self.name()
        old = container.name
        container.rename(other)
        self.assertEqual(self.client.containers.get(other).id, container.id)
        with self.assertRaises(docker.errors.NotFound):
            self.client.containers.get(old)
        self.assertEqual([c.name for c in self.client.containers.list(filters={"name": self.tag})], [other])

    def test_update_changes_limits(self):
        container = self.start(mem_limit="64m", memswap_limit="64m")
        container.update(mem_limit="96m", memswap_limit="96m", cpu_shares=300)
        container.reload()
        self.assertEqual(container.attrs["HostConfig"]["Memory"], 96 << 20)
        self.assertEqual(container.attrs["HostConfig"]["CpuShares"], 300)

    def test_update_changes_the_restart_policy(self):
        container = self.start()
        container.update(restart_policy={"Name": "always"})
        container.reload()
        self.assertEqual(container.attrs["HostConfig"]["RestartPolicy"]["Name"], "always")

    def test_top_lists_processes(self):
        found = self.start("sleep 543").top()
        self.assertIn("CMD", found["Titles"])
        self.assertEqual([row[-1] for row in found["Processes"]], ["sleep 543"])
        found = self.start("sleep 542").top(ps_args="-o pid,args")
        self.assertEqual(found["Titles"], ["PID", "COMMAND"])

    def test_diff_lists_changed_files(self):
        container = self.finished(["sh", "-c", "echo x > /new; rm /bin/busybox 2>/dev/null; true"])
        found = {(d["Path"], d["Kind"]) for d in container.diff()}
        self.assertIn(("/new", 1), found)

    def test_stats_once_and_as_a_stream(self):
        container = self.start(["sh", "-c", "while :; do :; done"], nano_cpus=200_000_000)
        found = container.stats(stream=False)
        self.assertGreater(found["cpu_stats"]["cpu_usage"]["total_usage"], 0)
        self.assertGreater(found["memory_stats"]["usage"], 0)
        self.assertEqual(found["name"], f"/{container.name}")
        self.assertEqual(found["id"], container.id)
        stream = container.stats(decode=True)
        first, second = next(stream), next(stream)
        stream.close()
        self.assertLess(first["cpu_stats"]["cpu_usage"]["total_usage"],
                        second["cpu_stats"]["cpu_usage"]["total_usage"])

    def test_files_go_in_and_come_out(self):
        container = self.start()
        self.assertTrue(container.put_archive("/tmp", archive(a_txt="one\n", b_txt="two\n")))
        self.assertEqual(container.exec_run("cat /tmp/a.txt /tmp/b.txt").output, b"one\ntwo\n")
        chunks, stat = container.get_archive("/tmp/a.txt")
        self.assertEqual(members(chunks), {"a.txt": b"one\n"})
        self.assertEqual((stat["name"], stat["size"]), ("a.txt", 4))

    def test_files_go_into_a_container_that_never_ran_and_out_of_one_that_ended(self):
        container = self.create(["sh", "-c", "tr a-z A-Z < /tmp/in > /tmp/out"])
        container.put_archive("/tmp", archive(**{"in": "words"}))
        container.start()
        container.wait()
        self.assertEqual(members(container.get_archive("/tmp/out")[0]), {"out": b"WORDS"})

    def test_a_folder_of_some_megabytes_comes_out_whole(self):
        container = self.finished(["sh", "-c", "mkdir /d; for i in 1 2 3; do dd if=/dev/zero of=/d/$i bs=1M count=4; done"])
        found = members(container.get_archive("/d", chunk_size=1 << 16)[0])
        self.assertEqual({n: len(c) for n, c in found.items() if c is not None}, {f"d/{i}": 4 << 20 for i in "123"})

    def test_archives_of_missing_paths_are_NotFound(self):
        container = self.start()
        with self.assertRaises(docker.errors.NotFound):
            container.get_archive("/no/such/file")
        with self.assertRaises(docker.errors.NotFound):
            container.put_archive("/no/such/folder", archive(a="x"))

    def test_export_gives_the_whole_file_system(self):
        container = self.finished(["sh", "-c", "echo exported > /tmp/made"])
        found = members(container.export())
        self.assertEqual(found["tmp/made"], b"exported\n")
        self.assertIn("bin/busybox", found)

    def test_commit_makes_an_image_that_runs(self):
        container = self.finished(["sh", "-c", "echo kept > /kept"])
        image = container.commit(repository=self.tag, tag="v1", message="why", author="me", changes='ENV A="b"')
        self.gone(self.client.images.remove, f"{self.tag}:v1", force=True)
        self.assertEqual(image.tags, [f"{self.tag}:v1"])
        self.assertEqual(self.client.containers.run(f"{self.tag}:v1", ["sh", "-c", "cat /kept; echo $A"], remove=True),
                         b"kept\nb\n")

    def test_image_of_a_container(self):
        self.assertIn("busybox:latest", self.create().image.tags)

    def test_logs_by_stream_tail_and_time(self):
        container = self.finished(["sh", "-c", "for i in 1 2 3; do echo $i; done; sleep 1.2; echo err >&2"])
        self.assertEqual(container.logs(stderr=False), b"1\n2\n3\n")
        self.assertEqual(container.logs(stdout=False), b"err\n")
        self.assertEqual(container.logs(tail=2), b"3\nerr\n")
        stamped = container.logs(timestamps=True, stderr=False).splitlines()
        when = datetime.datetime.fromisoformat(stamped[-1].split()[0][:26].decode().rstrip("Z") + "+00:00")
        self.assertEqual(stamped[-1].split()[1], b"3")
        self.assertEqual(container.logs(since=when.timestamp() + 0.5), b"err\n")
        self.assertEqual(container.logs(until=when.timestamp() + 0.5), b"1\n2\n3\n")

    def test_logs_follow_to_the_end(self):
        container = self.start(["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.3; done"])
        self.assertEqual(b"".join(container.logs(stream=True, follow=True)), b"1\n2\n3\n")

    def test_logs_of_a_terminal_are_raw(self):
        self.assertEqual(self.finished(["sh", "-c", "echo a; echo b >&2"], tty=True).logs(), b"a\r\nb\r\n")

    def test_a_log_driver_with_options(self):
        container = self.create(log_config=LogConfig(type="json-file", config={"max-size": "1m", "max-file": "2"}))
        container.reload()
        self.assertEqual(container.attrs["HostConfig"]["LogConfig"],
                         {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}})

    def test_health_goes_from_starting_to_healthy(self):
        container = self.start(healthcheck={"test": ["CMD-SHELL", "test -e /tmp/ready"], "interval": 300_000_000,
                                            "retries": 100})
        self.assertEqual(self.client.containers.get(container.id).health, "starting")
        container.exec_run("touch /tmp/ready")

        def healthy():
            container.reload()
            return container.health == "healthy"
        eventually("healthy", healthy)

    def test_remove_of_a_running_container_needs_force(self):
        container = self.start()
        with self.assertRaises(docker.errors.APIError) as caught:
            container.remove()
        self.assertEqual(caught.exception.status_code, 409)
        container.remove(force=True)
        with self.assertRaises(docker.errors.NotFound):
            container.reload()

    def test_prune_removes_the_ended_that_the_filter_names(self):
        ended = self.finished("true", labels={"group": self.tag})
        running = self.start(labels={"group": self.tag})
        other = self.finished("true")
        found = self.client.containers.prune(filters={"label": f"group={self.tag}"})
        self.assertEqual(found["ContainersDeleted"], [ended.id])
        left = {c.id for c in self.client.containers.list(all=True, filters={"name": self.tag})}
        self.assertEqual(left, {running.id, other.id})


class Lists(Case):
    def listed(self, **options):
        return [c.name for c in self.client.containers.list(**options)]

    def test_running_ones_and_all(self):
        running, made = self.start(), self.create()
        self.assertEqual(self.listed(filters={"name": self.tag}), [running.name])
        self.assertEqual(self.listed(all=True, filters={"name": self.tag}), [made.name, running.name])

    def test_filters(self):
        first = self.start(labels={"kind": self.tag, "n": "1"})
        second = self.finished(["sh", "-c", "exit 5"], labels={"kind": self.tag, "n": "2"})
        third = self.create(image="testbed/work", labels={"kind": self.tag, "n": "3"})
        mine = f"kind={self.tag}"
        for filters, expected in (
                ({"label": mine}, [third, second, first]),
                ({"label": [mine, "n=2"]}, [second]),
                ({"label": mine, "status": "running"}, [first]),
                ({"label": mine, "status": ["exited", "created"]}, [third, second]),
                ({"label": mine, "exited": 5}, [second]),
                ({"label": mine, "ancestor": "testbed/work"}, [third]),
                ({"name": f"^/{first.name}$"}, [first]),
                ({"id": second.id}, [second]),
                ({"label": mine, "before": second.id}, [first]),
                ({"label": mine, "since": second.name}, [third]),
                ({"label": mine, "name": "no-such"}, [])):
            with self.subTest(filters=filters):
                self.assertEqual(self.listed(all=True, filters=filters), [c.name for c in expected])

    def test_limit_and_the_order(self):
        made = [self.create() for _ in range(3)]
        self.assertEqual(self.listed(limit=1, all=True), [made[-1].name])
        self.assertEqual(self.listed(all=True, filters={"name": self.tag}), [c.name for c in reversed(made)])

    def test_health_and_published_ports(self):
        well = self.start(healthcheck={"test": ["CMD", "true"], "interval": 200_000_000})
        port = self.start(ports={"80/tcp": 28086})
        eventually("the healthy", lambda: self.listed(filters={"health": "healthy", "name": self.tag}) == [well.name])
        self.assertEqual(self.listed(filters={"publish": "28086/tcp", "name": self.tag}), [port.name])
        self.assertEqual(self.listed(filters={"expose": "80/tcp", "name": self.tag}), [port.name])

    def test_sparse_entries_know_what_the_list_knows(self):
        container = self.start(labels={"a": "b"})
        found = self.client.containers.list(filters={"id": container.id}, sparse=True)[0]
        self.assertEqual((found.status, found.attrs["Labels"]["a"], found.attrs["Names"]),
                         ("running", "b", [f"/{container.name}"]))
        self.assertEqual(found.attrs["Image"], "busybox")

    def test_a_bad_filter_is_an_APIError(self):
        with self.assertRaises(docker.errors.APIError) as caught:
            self.client.containers.list(filters={"nonsense": "x"})
        self.assertEqual(caught.exception.status_code, 400)


class Ports(Case):
    def port(self, container, inside="8080/tcp"):
        container.reload()
        return container.ports[inside][0]["HostPort"]

    def test_a_port_of_the_engines_choice(self):
        container = self.start(None, "testbed/web", ports={"8080/tcp": None})
        self.assertIn("testbed web", self.fetch(self.port(container)))
        self.assert_away(container)

    def test_a_port_and_address_of_the_users_choice(self):
        container = self.start(None, "testbed/web", ports={"8080/tcp": ("127.0.0.1", 28080)})
        container.reload()
        self.assertEqual(container.ports["8080/tcp"], [{"HostIp": "127.0.0.1", "HostPort": "28080"}])
        self.assertIn("testbed web", self.fetch(28080))

    def test_one_port_published_twice(self):
        container = self.start(None, "testbed/web", ports={"8080/tcp": [28081, 28082]})
        for port in (28081, 28082):
            self.assertIn("testbed web", self.fetch(port))
        self.assertEqual({p["HostPort"] for p in self.client.containers.get(container.id).ports["8080/tcp"]},
                         {"28081", "28082"})

    def test_publish_all_ports(self):
        container = self.start(None, "testbed/web", publish_all_ports=True)
        self.assertIn("testbed web", self.fetch(self.port(container)))

    def test_exposed_ports_alone_are_not_published(self):
        container = self.start(None, "testbed/web")
        container.reload()
        self.assertEqual(container.ports, {"8080/tcp": None})

    def test_a_taken_port_is_refused_with_its_number(self):
        self.start(None, "testbed/web", ports={"8080/tcp": 28083})
        other = self.create(None, "testbed/web", ports={"8080/tcp": 28083})
        with self.assertRaises(docker.errors.APIError) as caught:
            other.start()
        self.assertEqual(caught.exception.status_code, 500)
        self.assertIn("28083", caught.exception.explanation)

    def test_a_port_is_free_again_after_the_removal(self):
        for _ in range(3):
            container = self.start(None, "testbed/web", ports={"8080/tcp": 28084})
            self.assertIn("testbed web", self.fetch(28084))
            container.remove(force=True)

    def test_the_port_in_a_list(self):
        container = self.start(None, "testbed/web", ports={"8080/tcp": 28085})
        found = self.client.api.containers(filters={"id": container.id})[0]["Ports"]
        self.assertIn({"IP": "0.0.0.0", "PrivatePort": 8080, "PublicPort": 28085, "Type": "tcp"}, found)
        self.assertEqual(json.dumps(self.client.api.port(container.id, 8080)[0]),
                         '{"HostIp": "0.0.0.0", "HostPort": "28085"}')
