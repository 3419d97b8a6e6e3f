"""Images on their way to another node: only what it lacks travels."""

import json
import re
import subprocess
import time
from pathlib import Path

from fixture import TESTBED, Case, command_output, remote_only

FIRST, SECOND = "testbed/layers:latest", "testbed/layers:v2"
MB = 1_000_000
WHOLE = 41 * MB  # of which the last MB differs


@remote_only
class Layers(Case):
    def setUp(self):
        super().setUp()
        self.forget(FIRST, SECOND)

    def image_id(self, image):
        return self.docker("image", "inspect", "--format", "{{.Id}}", image, at="edge1", engine=True).line

    def forget(self, *images):
        """The target has none of them: they have no name there."""
        for image in images:
            self.docker("rmi", "-f", self.image_id(image), at="cloud1", engine=True, expect=None)
            self.docker("image", "inspect", self.image_id(image), at="cloud1", engine=True, expect=1)

    def sent(self):
        """Bytes that have left the device through its network card."""
        shown = json.loads(command_output(TESTBED, "exec", "edge1", "ip", "-j", "-s", "link", "show", "dev", "eth0"))
        return shown[0]["stats64"]["tx"]["bytes"]

    def shipments(self, image):
        """(bytes, layers sent, layers) of each shipment of an image that the device's daemon tells of."""
        log = Path(self.world.credentials).parents[2] / "edge1" / "daemon.log"
        lines = [x for x in log.read_text(errors="replace").splitlines()
                 if "image shipped" in x and self.image_id(image) in x]
        found = [re.search(r"bytes=(\d+).*layers=(\d+) of (\d+)", x) for x in lines]
        self.assertNotIn(None, found, lines)
        return [tuple(map(int, x.groups())) for x in found]

    def run_away(self, image):
        """Runs an image away: the command's result, and how many bytes left the device for it."""
        name, before = self.name(), self.sent()
        found = self.docker("run", "--name", name, image, timeout=180)
        self.assert_at("cloud1", name)
        used = self.docker("inspect", "--format", "{{.Image}}", f"{name}.edge1", at="cloud1", engine=True).line
        self.assertEqual(used, self.image_id(image))
        moved = self.sent() - before
        self.docker("rm", name)
        return found, moved

    def test_of_an_image_that_differs_in_its_last_layer_only_that_layer_travels(self):
        first, moved = self.run_away(FIRST)
        self.assertEqual(first.out, "v1\n")
        self.assertGreater(moved, WHOLE * 0.9)
        second, moved = self.run_away(SECOND)
        self.assertEqual(second.out, "v2\n")
        self.assertLess(moved, 3 * MB)
        size, sent, layers = self.shipments(SECOND)[-1]
        self.assertLess(size, 3 * MB)
        self.assertEqual((sent, layers), (1, 5))

    def test_progress_is_shown_for_each_layer_as_by_a_pull(self):
        self.run_away(FIRST)
        found, _ = self.run_away(SECOND)
        layers = json.loads(self.docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", SECOND, at="edge1",
                                        engine=True).out)
        for layer in layers[:-1]:
            self.assertIn(f"{layer.removeprefix('sha256:')[:12]}: Already exists", found.err)
        self.assertIn(f"{layers[-1].removeprefix('sha256:')[:12]}: Pull complete", found.err)
        self.assertIn("Status: Downloaded newer image for testbed/layers:v2", found.err)

    def test_two_images_that_go_at_once_bring_what_they_share_only_once(self):
        names, before = [self.name(), self.name()], self.sent()
        started = [self.start("run", "--name", name, image, stdin=subprocess.DEVNULL)
                   for name, image in zip(names, (FIRST, SECOND))]
        end = time.monotonic() + 180
        output = [x.communicate(timeout=max(1, end - time.monotonic()))[0] for x in started]
        self.assertEqual(output, [b"v1\n", b"v2\n"])
        for name in names:
            self.assert_at("cloud1", name)
        self.assertLess(self.sent() - before, WHOLE * 1.2)

    def test_an_image_that_the_target_lost_travels_again(self):
        self.run_away(FIRST)
        self.forget(FIRST)
        found, moved = self.run_away(FIRST)
        self.assertEqual(found.out, "v1\n")
        self.assertGreater(moved, WHOLE * 0.8)


class Commits(Case):
    """`docker commit` of a container, wherever it runs."""

    def commit(self, name, *args):
        """The new image's id; it is removed at the end, at both nodes."""
        found = self.docker("commit", *args, name, f"{self.tag}:v1").line
        for node in ("edge1", "cloud1"):
            self.addCleanup(self.docker, "rmi", "-f", found, at=node, engine=True, expect=None)
        return found

    def changed(self):
        """A container that wrote a file, and ended."""
        name = self.name()
        self.docker("run", "--name", name, "busybox", "sh", "-c", "echo kept > /kept")
        self.assert_at("cloud1", name)
        return name

    def test_the_image_is_on_the_device_with_its_name_history_and_content(self):
        name = self.changed()
        image = self.commit(name, "--message", "a word", "--author", "somebody", "--change", "ENV A=b",
                            "--change", 'CMD ["cat", "/kept"]')
        shown = json.loads(self.docker("image", "inspect", f"{self.tag}:v1", at="edge1", engine=True).out)[0]
        self.assertEqual(shown["Id"], image)
        self.assertEqual((shown["Comment"], shown["Author"]), ("a word", "somebody"))
        self.assertIn("A=b", shown["Config"]["Env"])
        self.assertEqual([x for x in (shown["Config"]["Labels"] or {}).values() if x], [])
        self.assertIn(f"{self.tag}:v1", self.docker("images", "--format", "{{.Repository}}:{{.Tag}}").out)
        self.assertIn("a word", self.docker("history", f"{self.tag}:v1").out)
        here = self.docker("run", "--rm", "--label", "lighter.policy=local", f"{self.tag}:v1")
        self.assertEqual(here.out, "kept\n")
        self.docker("rmi", f"{self.tag}:v1")
        self.docker("image", "inspect", image, expect=1)

    def test_a_name_that_is_impossible_is_refused_as_by_an_engine(self):
        name = self.changed()
        found = self.docker("commit", name, "Upper:v1", expect=1)
        self.assertIn("invalid reference format", found.err)

    @remote_only
    def test_a_container_of_it_at_the_same_node_needs_nothing_of_the_device(self):
        image = self.commit(self.changed())
        self.assertEqual(self.docker("image", "inspect", "--format", "{{.RepoTags}}", image, at="cloud1",
                                     engine=True).line, "[]")
        self.assertEqual(self.commit_layers(), (1, 2))
        name = self.name()
        found = self.docker("run", "--name", name, f"{self.tag}:v1", "cat", "/kept")
        self.assertEqual(found.out, "kept\n")
        self.assert_at("cloud1", name)
        self.assertNotIn(f"image={image}", "".join(x for x in self.log() if "image shipped" in x))

    def log(self):
        log = Path(self.world.credentials).parents[2] / "edge1" / "daemon.log"
        return log.read_text(errors="replace").splitlines()

    def commit_layers(self):
        """(layers that travelled, layers) of the last image that came home."""
        found = [re.search(r"layers=(\d+) of (\d+)", x) for x in self.log() if "image brought home" in x]
        return tuple(map(int, found[-1].groups()))

    @remote_only
    def test_a_node_out_of_reach_is_an_error_and_nothing_is_made(self):
        name = self.changed()
        self.mended()
        command_output(TESTBED, "kill", "cloud1")
        found = self.docker("commit", name, f"{self.tag}:v1", expect=1)
        self.assertIn("cannot be reached", found.err)
        self.docker("image", "inspect", f"{self.tag}:v1", expect=1)
