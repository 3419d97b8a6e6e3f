"""Testcontainers for Python: waiting, ports, networks, images, and Ryuk's work through a mounted socket."""

import json
import os
import re
import subprocess
import sys
import time
import unittest
import urllib.request
from pathlib import Path

import docker
from clientcase import WORLD, Case, eventually
from testcontainers.compose import DockerCompose
from testcontainers.core.container import DockerContainer, Reaper
from testcontainers.core.image import DockerImage
from testcontainers.core.labels import LABEL_SESSION_ID, SESSION_ID
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import (CompositeWaitStrategy, ContainerStatusWaitStrategy, ExecWaitStrategy,
                                                 HealthcheckWaitStrategy, HttpWaitStrategy, LogMessageWaitStrategy,
                                                 PortWaitStrategy)
from testcontainers.core.waiting_utils import wait_for_logs

HERE = Path(__file__).resolve().parent
RYUK = os.environ.get("RYUK_CONTAINER_IMAGE", "")
# Names are asked for by Python: a static busybox has a resolver that crashes.
ASK = "import sys,urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode().strip())"


def setUpModule():
    client = docker.from_env()
    client.images.build(path=str(HERE / "ryuk"), tag=RYUK, rm=True)
    client.close()


def tearDownModule():
    Reaper.delete_instance()
    client = docker.from_env()
    eventually("the end of Ryuk's containers", lambda: not client.api.containers(all=True, filters={"ancestor": RYUK}))
    client.images.remove(RYUK, force=True)
    client.close()


class Containers(Case):
    def web(self):
        return DockerContainer("testbed/web").with_exposed_ports(8080)

    def answer(self, container, path="/"):
        host, port = container.get_container_host_ip(), container.get_exposed_port(8080)
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def test_a_mapped_port_once_http_answers(self):
        with self.web().waiting_for(HttpWaitStrategy(8080).for_status_code(200)) as container:
            self.assertIn("testbed web", self.answer(container))
            self.assert_away(container.get_wrapped_container())

    def test_a_port_of_the_users_choice(self):
        with DockerContainer("testbed/web").with_bind_ports(8080, 28180).waiting_for(PortWaitStrategy(8080)) as container:
            self.assertEqual(container.get_exposed_port(8080), 28180)
            eventually("an answer", lambda: "testbed web" in self.answer(container))

    def test_http_wait_for_a_page_that_comes_late(self):
        container = self.web().with_command(["sh", "-c", "sleep 2; echo late > /www/late; exec httpd -f -p 8080 -h /www"])
        with container.waiting_for(HttpWaitStrategy(8080, "/late").for_response_predicate(lambda b: "late" in b)):
            self.assertEqual(self.answer(container, "/late"), "late\n")

    def test_waiting_for_a_line_of_the_log(self):
        container = DockerContainer("busybox").with_command(["sh", "-c", "sleep 1; echo now ready; exec sleep 600"])
        with container.waiting_for(LogMessageWaitStrategy(re.compile("now .*ready"))):
            self.assertIn(b"now ready", container.get_logs()[0])

    def test_wait_for_logs_by_a_pattern_and_a_function(self):
        command = ["sh", "-c", "echo one; sleep 1; echo two >&2; exec sleep 600"]
        with DockerContainer("busybox").with_command(command) as container:
            wait_for_logs(container, "tw.", timeout=20, interval=0.1)
            wait_for_logs(container, lambda text: "one" in text, timeout=20, interval=0.1)
            self.assertEqual(container.get_logs(), (b"one\n", b"two\n"))

    def test_a_container_that_ends_before_it_is_ready_is_an_error(self):
        container = DockerContainer("busybox").with_command("echo nothing")
        with self.assertRaises(RuntimeError), container.waiting_for(LogMessageWaitStrategy("ready")):
            pass

    def test_a_wait_that_takes_too_long_is_a_TimeoutError_with_the_log(self):
        container = DockerContainer("busybox").with_command(["sh", "-c", "echo started; exec sleep 600"])
        with self.assertRaises(TimeoutError) as caught, container.waiting_for(
                LogMessageWaitStrategy("never").with_startup_timeout(2)):
            pass
        self.assertTrue(any("started" in note for note in caught.exception.__notes__))

    def test_health_a_command_and_several_at_once(self):
        health = {"test": ["CMD", "test", "-e", "/tmp/up"], "interval": 200_000_000, "start_period": 60_000_000_000}
        container = (DockerContainer("busybox").with_kwargs(healthcheck=health)
                     .with_command(["sh", "-c", "sleep 1; touch /tmp/up; exec sleep 600"]))
        with container.waiting_for(CompositeWaitStrategy(
                ContainerStatusWaitStrategy(), ExecWaitStrategy(["test", "-e", "/tmp/up"]), HealthcheckWaitStrategy())):
            self.assertEqual(container.get_wrapped_container().attrs["State"]["Health"]["Status"], "healthy")

    def test_environment_name_tmpfs_and_exec(self):
        folder = self.folder()
        (folder / "env").write_text("B=from a file\n")
        name = self.name()
        container = (DockerContainer("busybox").with_name(name).with_env("A", "1").with_env_file(folder / "env")
                     .with_tmpfs_mount("/t", "size=1m").with_command("sleep 600"))
        with container:
            self.assertEqual(self.client.containers.get(name).id, container.get_container_id())
            found = container.exec(["sh", "-c", "echo $A $B; grep ' /t ' /proc/mounts; exit 3"])
            self.assertEqual(found.exit_code, 3)
            self.assertIn(b"1 from a file\ntmpfs /t", found.output)

    def test_a_volume_mapping_read_only_and_written(self):
        folder = self.folder()
        (folder / "in").write_text("from the device\n")
        with DockerContainer("busybox").with_volume_mapping(folder, "/d").with_command("sleep 600") as container:
            self.assertEqual(container.exec("cat /d/in").output, b"from the device\n")
            self.assertNotEqual(container.exec("touch /d/out").exit_code, 0)
        with DockerContainer("busybox").with_volume_mapping(folder, "/d", "rw").with_command("sleep 600") as container:
            container.exec(["sh", "-c", "echo made > /d/out"])
            eventually("the file on the device", lambda: (folder / "out").exists() and
                       (folder / "out").read_text() == "made\n")

    def test_files_are_copied_in_and_out(self):
        folder = self.folder()
        (folder / "in").write_text("a file\n")
        container = (DockerContainer("busybox").with_command("sleep 600")
                     .with_copy_into_container(folder / "in", "/before/in").with_copy_into_container(b"bytes\n", "/raw"))
        with container:
            self.assertEqual(container.exec("cat /before/in /raw").output, b"a file\nbytes\n")
            container.copy_into_container(b"later\n", "/later")
            self.assertEqual(container.exec("cat /later").output, b"later\n")
            container.copy_from_container("/before/in", folder / "out")
            self.assertEqual((folder / "out").read_text(), "a file\n")

    def test_wait_tells_the_exit_code(self):
        with DockerContainer("busybox").with_command(["sh", "-c", "exit 6"]) as container:
            self.assertEqual(container.wait(), 6)

    def test_containers_bear_the_labels_of_their_session(self):
        with DockerContainer("busybox").with_command("sleep 600") as container:
            found = self.client.containers.list(filters={"label": f"{LABEL_SESSION_ID}={SESSION_ID}"})
            self.assertEqual([c.id for c in found], [container.get_container_id()])

    def test_a_network_with_aliases(self):
        with Network() as network:
            server = DockerContainer("testbed/web").with_network(network).with_network_aliases("db", "store")
            client = DockerContainer("testbed/python").with_network(network).with_command("sleep 600")
            with server, client:
                for alias in ("db", "store"):
                    eventually(f"an answer of {alias}", lambda: b"testbed web" in client.exec(
                        ["python3", "-c", ASK, f"http://{alias}:8080/"]).output)
                self.assert_away(server.get_wrapped_container())

    def test_an_image_is_built_and_run(self):
        folder = self.folder()
        (folder / "Dockerfile").write_text("FROM testbed/web\nARG WORD\nRUN echo $WORD > /www/built\n")
        with DockerImage(path=folder, tag=f"{self.tag}:latest", buildargs={"WORD": "built"}) as image:
            self.assertTrue(image.get_logs())
            container = DockerContainer(str(image)).with_exposed_ports(8080)
            with container.waiting_for(HttpWaitStrategy(8080, "/built")):
                self.assertEqual(self.answer(container, "/built"), "built\n")

    def test_a_compose_file(self):
        folder = self.folder()
        (folder / "compose.yaml").write_text(json.dumps({"services": {
            "web": {"image": "testbed/web", "ports": ["8080"], "labels": {"a": self.tag}},
            "other": {"image": "busybox", "command": "sleep 600"}}}))
        with DockerCompose(folder, wait=True) as compose:
            host, port = compose.get_service_host_and_port("web", 8080)
            compose.wait_for(f"http://localhost:{port}/")
            self.assertIn(host, ("0.0.0.0", "127.0.0.1", "localhost"))
            out, _, code = compose.exec_in_container(["echo", "hello"], "other")
            self.assertEqual((out.strip(), code), ("hello", 0))
            self.assertEqual({c.Service for c in compose.get_containers()}, {"web", "other"})
        self.assertEqual(self.client.containers.list(all=True, filters={"label": f"a={self.tag}"}), [])


class Ryuk(Case):
    def session(self, **environment):
        """A process with a session of its own, and what it made."""
        # By the device's address and not localhost: there the engine's proxy would take a call that Ryuk cannot yet.
        process = subprocess.Popen([sys.executable, HERE / "session.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True, env={**os.environ, "TC_HOST": WORLD.address, **environment})

        def end():
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
        self.addCleanup(end)
        made = json.loads(process.stdout.readline())
        eventually("Ryuk's filter", lambda: made["session"].encode() in self.client.containers.get(made["ryuk"]).logs())
        return process, made

    def left(self, made):
        """What there still is of a session."""
        mine = {"label": f"{LABEL_SESSION_ID}={made['session']}"}
        return ([c["Id"] for c in self.client.api.containers(all=True, filters=mine)],
                [n.id for n in self.client.networks.list(filters=mine)],
                [v.name for v in self.client.volumes.list(filters=mine)])

    def gone_within(self, made, seconds):
        eventually("the removal of all", lambda: self.left(made) == ([], [], []), seconds)
        eventually("Ryuk's own end", lambda: not self.client.api.containers(all=True, filters={"id": made["ryuk"]}))

    def test_everything_of_a_session_is_removed_after_its_death(self):
        process, made = self.session()
        self.assert_away(made["names"][0])
        containers, networks, volumes = self.left(made)
        self.assertEqual((set(containers), networks, volumes), (set(made["containers"]), [made["network"]],
                                                                [made["volume"]]))
        time.sleep(3)  # longer than Ryuk waits for callers that are gone
        self.assertEqual(len(self.left(made)[0]), 3)
        process.kill()
        self.gone_within(made, 60)
        self.assertEqual(self.whereabouts(made["names"][0]), set())

    @unittest.skipIf(WORLD.plain, "a bare engine of the test bed has its socket elsewhere")
    def test_the_socket_at_its_usual_path_is_lighters(self):
        process, made = self.session(TESTCONTAINERS_DOCKER_SOCKET_OVERRIDE="/var/run/docker.sock")
        self.assert_away(made["names"][0])
        process.kill()
        self.gone_within(made, 60)

    def test_other_sessions_keep_theirs(self):
        first, mine = self.session()
        second, others = self.session()
        first.kill()
        self.gone_within(mine, 60)
        self.assertEqual(len(self.left(others)[0]), 3)
        second.kill()
        self.gone_within(others, 60)
