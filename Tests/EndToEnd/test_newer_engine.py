"""Docker's engine 26 as a node's engine, beside the machine's own: the device's, and the one at which its containers run; and
with its images in containerd, where an image's id is the digest of its manifest."""

import json
import os
import re
import subprocess
import unittest

from engines import Device, Fleet, Placed
from fixture import PATIENCE, PLAIN, REPO, TESTBED, command_output

ENGINE = REPO / ".build" / "engine26"
CLIENTS = REPO / ".build" / "clients"
NODES = {"old": "cpus=1,files=own", "new": "cpus=1,files=own,engine=26",
         "box": "cpus=1,files=own,engine=26,store=containerd"}
MB = 1 << 20
# Of the layers that testbed/layers and its other tag do not share.
ONE_LAYER = 3 * MB


def setUpModule():
    if PLAIN:
        raise unittest.SkipTest("a plain engine has nothing of this")
    done = subprocess.run([REPO / "scripts" / "need", "engine26", "buildx", "compose2"], text=True, capture_output=True)
    if done.returncode or not (ENGINE / "bin" / "dockerd").exists():
        raise unittest.SkipTest(f"Docker's engine 26 cannot be had: {done.stderr.strip() or done.stdout.strip()}")
    fleet = Device.fleet = Fleet(NODES)
    command_output(TESTBED, "images", "old", "new")
    fleet.start_fleet("--accept-builds", "true")


def tearDownModule():
    if Device.fleet:
        Device.fleet.end()


class Mixed(Device):
    """What depends on how the two engines speak to each other."""

    # Whether both ends know which file of an image's archive is which layer, and the target takes an archive without some.
    is_sparse = True

    def client(self, *args, folder=None, env=()):
        """The newer docker client, with its plugins."""
        config = self.folder()
        (config / "cli-plugins").symlink_to(CLIENTS / "cli-plugins")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "COMPOSE_"))}
        kept.update({"DOCKER_HOST": self.world.front_doors[self.device], "DOCKER_CONFIG": str(config),
                    **dict(env)})
        done = subprocess.run([ENGINE / "bin" / "docker", *map(str, args)], text=True, capture_output=True, cwd=folder,
                              timeout=PATIENCE, env=kept)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def shipments(self, image):
        """(bytes, layers sent, layers) of each shipment of an image to the target."""
        ident = self.docker("image", "inspect", "--format", "{{.Id}}", image).line
        lines = [line for line in Device.fleet.log(self.device).splitlines()
                 if "image shipped" in line and ident in line and f"node={self.target} " in line]
        found = (re.search(r"bytes=(\d+).*layers=(\d+) of (\d+)", line) for line in lines)
        return [tuple(map(int, f.groups())) for f in found]

    def test_only_what_is_missing_of_an_image_travels(self):
        self.assertEqual(self.run_("--rm", "testbed/layers").line, "v1")
        for _ in range(2):  # once only
            self.assertEqual(self.run_("--rm", "testbed/layers:v2").line, "v2")
        # Another class's device may have brought the one or the other.
        for size, layers, of in self.shipments("testbed/layers:v2"):
            self.assertEqual(of, 5)
            if self.is_sparse:
                self.assertLessEqual(layers, 1)
                self.assertLess(size, ONE_LAYER)

    def test_the_image_of_a_container_is_the_device_s(self):
        name = self.service()
        ident = self.docker("image", "inspect", "--format", "{{.Id}}", "busybox").line
        self.assertEqual(self.inspect(name, "{{.Image}} {{.Config.Image}}"), f"{ident} busybox")
        self.assertEqual(self.docker("ps", "--filter", f"ancestor={ident}", "--filter", f"name={name}", "--format",
                                     "{{.Names}}").line, name)
        self.assertIn("is using its referenced image", self.docker("rmi", "busybox", expect=1).err)

    def test_a_classic_build_goes_there_and_comes_home(self):
        self.build("--label", f"lighter.target={self.target}", env={"DOCKER_BUILDKIT": "0"})

    def test_a_build_by_buildkit_goes_there_and_comes_home(self):
        self.build("--label", f"lighter.target={self.target}")

    def build(self, *options, env=()):
        folder, image = self.folder(), self.image()
        (folder / "Dockerfile").write_text("FROM busybox\nCOPY word /word\nRUN cat /word /word > /twice\n")
        (folder / "word").write_text(self.tag)
        before = len(Device.fleet.log(self.device))
        said = self.client("build", "-q", "-t", image, *options, folder, env=env)
        self.assertEqual(said.split()[0], self.docker("image", "inspect", "--format", "{{.Id}}", image).line)
        self.assertIn("image built away", Device.fleet.log(self.device)[before:])
        # On the device and where it was made alike.
        for target in (self.device, self.target):
            done = self.docker("run", "--rm", "--label", f"lighter.target={target}", image, "cat", "/twice")
            self.assertEqual(done.out, 2 * self.tag)

    def test_what_newer_clients_ask_for(self):
        """Fields that the API has since 1.44, whatever the other engine speaks."""
        network = self.network()
        name = self.name()
        self.client("run", "-d", "--label", f"lighter.target={self.target}", "--name", name, "--network", network,
                    "--network-alias", "other", "--health-cmd", "true", "--health-interval", "1s",
                    "--health-start-period", "5s", "busybox", "sleep", "600")
        self.assertEqual(self.docker("exec", name, "ping", "-c1", "-W5", "other").code, 0)
        shown = self.client("inspect", name)
        self.assertIn('"other"', shown)
        for what in (("ps", "-a"), ("images", "--digests"), ("stats", "--no-stream", name), ("system", "df"), ("info",)):
            self.client(*what)

    def test_a_container_of_several_networks(self):
        """Since 1.44 they come with the creation; engines before take one there."""
        networks, name = [self.network() for _ in range(3)], self.name()
        self.client("run", "-d", "--label", f"lighter.target={self.target}", "--name", name,
                    *(f"--network=name={network},alias=a{i}" for i, network in enumerate(networks)),
                    "busybox", "sleep", "600")
        shown = json.loads(self.inspect(name, "{{json .NetworkSettings.Networks}}"))
        self.assertEqual(set(shown), set(networks))
        for i, network in enumerate(networks):
            self.run_("--rm", "--network", network, "busybox", "ping", "-c1", "-W5", f"a{i}")

    def test_a_compose_project(self):
        folder = self.folder()
        (folder / "compose.yaml").write_text(f"""
services:
  web: {{image: testbed/web, labels: {{lighter.target: {self.target}}}, ports: ["127.0.0.1:18081:8080"]}}
  asks:
    image: busybox
    labels: {{lighter.target: {self.target}}}
    command: sh -c 'until wget -qO- http://web:8080/; do sleep 0.2; done'
    depends_on: [web]
""")
        project = ("compose", "-p", self.tag)
        self.addCleanup(self.client, *project, "down", "-t", "0", folder=folder)
        self.client(*project, "up", "-d", folder=folder)
        self.docker("wait", f"{self.tag}-asks-1", expect=0)
        self.assertIn("testbed web", self.client(*project, "logs", "asks", folder=folder))
        there = self.docker("ps", "--format", "{{.Names}}", at=self.target, engine=True).out.split()
        self.assertIn(f"{self.tag}-web-1.{self.device}", there)


class NewerAsDevice(Mixed, Placed):
    device, target = "new", "old"


class NewerAsTarget(Mixed):
    """What else a user does, the next class does at the same engine."""

    device, target = "old", "new"
    test_a_commit_comes_home = Placed.test_a_commit_comes_home
    test_a_container_of_several_networks = None  # the client asks the device's engine, which is too old


class ContainerdAsTarget(Mixed, Placed):
    device, target = "old", "box"
    test_a_container_of_several_networks = None  # as above
    # containerd wants every layer of an archive as engines before 25 save it.
    is_sparse = False


class ContainerdAsTargetOfNewer(Mixed):
    device, target = "new", "box"
    test_a_commit_comes_home = Placed.test_a_commit_comes_home


class DeviceWithContainerd(Mixed):
    """After those whose device has to bring the images there."""

    device, target = "box", "new"
    test_a_commit_comes_home = Placed.test_a_commit_comes_home

    @classmethod
    def setUpClass(cls):
        command_output(TESTBED, "images", "box")
        super().setUpClass()


del Mixed, Placed  # no test cases of their own
