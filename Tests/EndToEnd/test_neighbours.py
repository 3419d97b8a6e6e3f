"""Layers that a node gets from another, near one: three nodes of a fleet of their own, the device behind a slow link."""

import concurrent.futures
import json
import os
import re
import secrets
import subprocess
from pathlib import Path

from fixture import FLEET, TESTBED, Case, OwnFleet, command_output, eventually, remote_only
from test_images import Registry

DEVICE, FIRST, SECOND = "dev1", "near1", "near2"
IMAGE, OTHER = "testbed/layers:latest", "testbed/layers:v2"
MB = 1_000_000
WHOLE = 41 * MB  # of which the last MB differs


@remote_only
class Neighbours(Case):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(os.environ.pop, "TESTBED_FLEET", None)
        cls.addClassCleanup(lambda: command_output(FLEET, "down"))
        cls.world = OwnFleet(
            "neighbours", (DEVICE, FIRST, SECOND), f"{DEVICE}:rtt=60ms,rate=150mbit", FIRST, SECOND)

    def setUp(self):
        super().setUp()
        self.state = Path(self.world.credentials).parents[2]
        for node in (FIRST, SECOND):
            for image in (IMAGE, OTHER):
                self.docker("rmi", "-f", self.image_id(image), at=node, engine=True, expect=None)

    def image_id(self, image):
        return self.docker("image", "inspect", "--format", "{{.Id}}", image, engine=True).line

    def layers(self, image):
        """Diff ids, bottom first, without `sha256:`."""
        found = self.docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", image, engine=True).out
        return [x.removeprefix("sha256:") for x in json.loads(found)]

    def sent(self):
        """Bytes that have left the device through its network card."""
        shown = json.loads(command_output(TESTBED, "exec", DEVICE, "ip", "-j", "-s", "link", "show", "dev", "eth0"))
        return shown[0]["stats64"]["tx"]["bytes"]

    def log(self, node, words):
        text = (self.state / node / "daemon.log").read_text(errors="replace")
        return [x for x in text.splitlines() if words in x]

    def kept(self, node):
        """The files of layers of the device's that a node keeps."""
        return list((self.state / node / "layers" / DEVICE).glob("*"))

    def run_at(self, node, image):
        """Runs an image at a node: the command's result, and how many bytes left the device for it."""
        name, before = self.name(), self.sent()
        found = self.docker("run", "--name", name, "--label", f"lighter.target={node}", image, timeout=240)
        there = self.docker("ps", "-a", "--format", "{{.Names}}", at=node, engine=True).out.split()
        self.assertIn(f"{name}.{DEVICE}", there)
        moved = self.sent() - before
        self.docker("rm", name)
        return found, moved

    def configure(self, node, text):
        """Settings of a node's daemon for the rest of the test."""
        path = self.state / node / "lighterd.conf"
        before = path.read_text()
        self.addCleanup(self.restart, node)
        self.addCleanup(path.write_text, before)
        path.write_text(f"{before}\n{text}\n")
        self.restart(node)

    def restart(self, node):
        self.fleet("daemon", node, "stop")
        self.fleet("daemon", node, "start")
        self.fleet("up")

    def test_the_second_copy_does_not_cross_the_devices_link(self):
        first, moved = self.run_at(FIRST, IMAGE)
        self.assertEqual(first.out, "v1\n")
        self.assertGreater(moved, WHOLE * 0.9)
        second, moved = self.run_at(SECOND, IMAGE)
        self.assertEqual(second.out, "v1\n")
        self.assertLess(moved, 1 * MB)
        # And whoever looks is told why.
        self.assertIn(f"Layers come from {FIRST}: it is ", second.err)
        self.assertEqual(second.err.count("Pull complete"), 5, second.err)
        self.assertIn(f"neighbours=\"{FIRST}: ", self.log(DEVICE, "image shipped")[-1].replace("=near", '="near'))
        self.assertIn(f"to={SECOND}", self.log(FIRST, "layers given")[-1])
        self.assertIn(f"from={FIRST}", self.log(SECOND, "layers fetched")[-1])
        self.assertEqual(self.kept(SECOND), [])

    def test_an_image_that_only_shares_layers_gets_those_and_the_rest_from_the_device(self):
        self.run_at(FIRST, IMAGE)
        found, moved = self.run_at(SECOND, OTHER)
        self.assertEqual(found.out, "v2\n")
        self.assertLess(moved, 3 * MB)
        self.assertGreater(moved, 0.9 * MB)

    def test_of_two_nodes_that_need_it_at_once_one_is_sent_it(self):
        before = self.sent()
        names = {node: self.name() for node in (FIRST, SECOND)}
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = [pool.submit(self.docker, "run", "--name", name, "--label", f"lighter.target={node}", IMAGE,
                                   timeout=240) for node, name in names.items()]
            found = [x.result() for x in running]
        self.assertEqual([x.out for x in found], ["v1\n", "v1\n"])
        self.assertLess(self.sent() - before, WHOLE * 1.15)
        self.assertTrue(any("which gets it just now" in x.err for x in found), [x.err for x in found])

    def test_a_source_that_is_cut_off_in_the_middle_is_replaced_by_the_device(self):
        self.run_at(FIRST, IMAGE)
        self.addCleanup(self.fleet, "up")
        self.addCleanup(command_output, TESTBED, "link", FIRST, "rate=0")
        command_output(TESTBED, "link", FIRST, "rate=40mbit")
        name, before = self.name(), self.sent()
        process = self.start("run", "--name", name, "--label", f"lighter.target={SECOND}", IMAGE,
                             stdin=subprocess.DEVNULL)
        have = lambda: sum(x.stat().st_size for x in self.kept(SECOND))
        eventually("a quarter of it has come", lambda: have() > WHOLE / 4, 60)
        command_output(TESTBED, "cut", FIRST)
        had = have()
        out, err = process.communicate(timeout=120)
        self.assertEqual((process.returncode, out), (0, b"v1\n"), err)
        self.assertNotIn(b"error", err.lower())
        # What had come before the cut did not travel again.
        self.assertLess(self.sent() - before, WHOLE - had + 3 * MB)
        self.assertGreater(self.sent() - before, 5 * MB)
        self.assertTrue(self.log(SECOND, "layers were not all fetched"))
        self.assertEqual(self.kept(SECOND), [])

    def test_wrong_bytes_are_refused_and_healed(self):
        self.run_at(FIRST, IMAGE)
        folder = self.state / SECOND / "layers" / DEVICE
        folder.mkdir(parents=True, exist_ok=True)
        # The beginning of its largest layers, as a disk or a neighbour may have damaged it: the rest would be right.
        for layer in self.layers(IMAGE)[1:-1]:
            (folder / layer).write_bytes(secrets.token_bytes(300_000))
        found, moved = self.run_at(SECOND, IMAGE)
        self.assertEqual(found.out, "v1\n")
        self.assertIn("came with the digest", self.log(SECOND, "layers were not all fetched")[-1])
        self.assertEqual(self.kept(SECOND), [])

    def test_what_the_source_has_of_its_own_is_nobody_elses(self):
        image, ident = self.made(self.image())
        # The same image, but the device has not brought it there.
        archive = self.docker("save", image, engine=True, text=False).out
        self.docker("load", at=FIRST, engine=True, input=archive, text=False)
        found, moved = self.run_at(SECOND, image)
        self.assertEqual(found.out, f"{self.tag}\n")
        self.assertGreater(moved, 8 * MB)
        self.assertNotIn("Layers come from", found.err)

    def test_a_node_gives_nothing_where_its_owner_does_not_want_it(self):
        self.configure(FIRST, "give_layers = false")
        self.run_at(FIRST, IMAGE)
        found, moved = self.run_at(SECOND, IMAGE)
        self.assertEqual(found.out, "v1\n")
        self.assertGreater(moved, WHOLE * 0.9)
        self.assertIn("give_layers is false", self.log(DEVICE, "a node offers no layers")[-1])

    def made(self, image):
        """An image of 8 MB of its own on the device's engine, which prints the test's tag: its name and id."""
        name = self.name()
        self.docker("run", "--name", name, "--label", "lighter.policy=local", "busybox", "sh", "-c",
                    f"head -c {8 * MB} /dev/urandom > /data; echo {self.tag} > /tag")
        self.docker("commit", "--change", 'CMD ["cat", "/tag"]', name, image, engine=True)
        self.docker("rm", name)
        ident = self.image_id(image)
        for node in (DEVICE, FIRST, SECOND):
            self.addCleanup(self.docker, "rmi", "-f", ident, at=node, engine=True, expect=None)
        return image, ident

    def published(self):
        """The same that only a registry has, and the registry."""
        registry = Registry()
        self.addCleanup(registry.close)
        image, ident = self.made(f"{registry.name}/team/app-{secrets.token_hex(4)}:v1")
        self.docker("push", image, engine=True)
        self.docker("rmi", image, engine=True)
        self.addCleanup(self.docker, "rmi", "-f", image, expect=None)
        return image, ident, registry

    def test_what_was_pulled_at_one_node_is_not_pulled_again_at_the_next(self):
        image, ident, registry = self.published()
        found, _ = self.run_at(FIRST, image)
        self.assertEqual(found.out, f"{self.tag}\n")
        registry.close()
        found, moved = self.run_at(SECOND, image)
        self.assertEqual(found.out, f"{self.tag}\n")
        self.assertLess(moved, 1 * MB)
        # It is there, and the device has never had it.
        self.docker("image", "inspect", ident, at=SECOND, engine=True)
        self.docker("image", "inspect", ident, engine=True, expect=1)

    def test_of_two_nodes_that_pull_it_at_once_one_asks_the_registry(self):
        image, ident, registry = self.published()
        # So slow that the second comes while the first is at it.
        self.addCleanup(command_output, TESTBED, "link", FIRST, "rate=0")
        command_output(TESTBED, "link", FIRST, "rate=20mbit")
        names = {node: self.name() for node in (FIRST, SECOND)}
        started = {}
        for node, name in names.items():
            started[node] = self.start("run", "--name", name, "--label", f"lighter.target={node}", image,
                                       stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT)
            if node == FIRST:
                for line in started[FIRST].stdout:
                    if b"Pulling fs layer" in line:
                        break
        out = {node: x.communicate(timeout=120)[0].decode() for node, x in started.items()}
        self.assertIn(f"Waiting for {FIRST}, which pulls it just now", out[SECOND])
        self.assertIn(f"Layers come from {FIRST}", out[SECOND])
        for node in names:
            self.assertEqual((started[node].returncode, out[node].splitlines()[-1]), (0, self.tag), out[node])
