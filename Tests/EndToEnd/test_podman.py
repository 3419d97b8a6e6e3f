"""Podman as a node's engine: the device's own, and the one at which its containers run."""

import shutil
import socket
import subprocess
import tempfile
import unittest

from engines import Device, Fleet, Placed, answers
from fixture import PATIENCE, PLAIN, REPO, TESTBED, command_output, eventually

PODMAN = REPO / "Testbed" / "podman"
IMAGES = ("busybox", "testbed/web", "testbed/layers")
# Docker's engine on one node, Podman on the other; each is a device and may be the other's target.
NODES = ("moby", "pod")


class Bed(Fleet):
    """Docker's engine on one node, Podman on the other."""

    def __init__(self):
        super().__init__({name: "cpus=1,files=own" for name in NODES})
        self.podman = self.start("pod", PODMAN, "pod", outside=True)
        self.engines["pod"] = self.folders["pod"] / "podman" / "podman.sock"
        eventually("Podman answers", lambda: answers(self.engines["pod"]))
        self.load_images()
        self.start_fleet()

    def load_images(self):
        """The test bed's own images, by way of the node that has Docker's engine."""
        command_output(TESTBED, "images", "moby", *IMAGES)
        with tempfile.NamedTemporaryFile(dir=self.folders["moby"], suffix=".tar") as archive:
            command_output("docker", "-H", f"unix://{self.engines['moby']}", "save", "-o", archive.name, *IMAGES)
            command_output("docker", "-H", f"unix://{self.engines['pod']}", "load", "-i", archive.name)

    def restart_podman(self):
        self.podman.terminate()
        self.podman.wait()
        self.podman = self.start("pod", PODMAN, "pod", outside=True)


bed = None


def setUpModule():
    global bed
    if PLAIN:
        raise unittest.SkipTest("a plain engine has nothing of this")
    if not shutil.which("podman"):
        done = subprocess.run([REPO / "scripts" / "need", "podman"], text=True, capture_output=True)
        if done.returncode or not shutil.which("podman"):
            raise unittest.SkipTest(f"Podman cannot be installed: {done.stderr.strip() or done.stdout.strip()}")
    bed = Device.fleet = Bed()


def tearDownModule():
    if bed:
        bed.end()


class PodmanAsTarget(Placed):
    device, target = "moby", "pod"

    def test_the_guard_bounds_what_may_run(self):
        refused = self.run_("--rm", "--cap-add", "SYS_ADMIN", "busybox", "true", expect=125)
        self.assertIn("does not admit HostConfig.CapAdd", refused.err)
        limit = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null"
        self.assertEqual(self.run_("--rm", "busybox", "sh", "-c", f"{limit} || true").line, "4096")

    def test_the_node_s_owner_s_automatic_updates_pass_over_it(self):
        label, of_engine = "io.containers.autoupdate", '{{index .Config.Labels "io.containers.autoupdate"}}'
        asked, plain = self.service("--label", f"{label}=registry"), self.service()
        for name in (asked, plain):
            there = self.docker("inspect", "--format", of_engine, f"{name}.{self.device}", at=self.target, engine=True)
            self.assertEqual(there.line, "disabled")
        self.assertEqual(self.inspect(asked, of_engine), "registry")
        self.assertNotIn(label, self.inspect(plain, "{{json .Config.Labels}}"))
        self.assertEqual(self.names("--filter", f"label={label}=registry"), {asked})

    def test_a_renamed_container_is_found_by_its_new_name_only(self):
        network = self.network()
        server, client = self.service("--network", network), self.service("--network", network)
        self.docker("rename", server, f"{server}-new")
        self.addCleanup(self.docker, "rm", "-f", f"{server}-new", expect=None)
        self.docker("exec", client, "ping", "-c1", "-W5", f"{server}-new")
        self.docker("exec", client, "ping", "-c1", "-W5", server, expect=1)

    def test_an_anonymous_volume_is_listed_and_goes_with_its_container(self):
        name = self.service("-v", "/data")
        volume = self.inspect(name, "{{(index .Mounts 0).Name}}")
        self.assertIn(volume, self.docker("volume", "ls", "-q").out.split())
        self.docker("rm", "-f", "-v", name)
        self.assertNotIn(volume, self.docker("volume", "ls", "-q").out.split())


class PodmanAsDevice(Placed):
    device, target = "pod", "moby"


class PodmanAlone(Placed):
    device = target = "pod"
    # Podman 4.3 refuses docker's request, which has no body.
    test_a_commit_comes_home = None


class PodmanRestarts(Device):
    """Last: Podman is not ready again as soon as the test ends."""

    device, target = "moby", "pod"

    def test_a_container_outlives_the_restart_of_podman_s_service(self):
        name = self.service(command=("sh", "-c", "until [ -e /go ]; do sleep 0.1; done; exit 9"))
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.settimeout(PATIENCE)
            waiting.connect(str(bed.front_doors[self.device]))
            waiting.sendall(f"POST /v1.41/containers/{name}/wait HTTP/1.1\r\nHost: d\r\n\r\n".encode())
            answer = waiting.recv(4096)
            self.assertIn(b" 200 ", answer)
            bed.restart_podman()
            eventually("it is reached again", lambda: self.docker("exec", name, "touch", "/go", expect=None).code == 0)
            while not answer.endswith(b"0\r\n\r\n"):
                answer += waiting.recv(4096)
        self.assertIn(b'"StatusCode":9', answer)
        bed.wait_until_ready()


del Placed  # no test case of its own
