"""Images on their way to another node: only what it lacks travels."""

import json
import re
import subprocess
import time
from pathlib import Path

from fixture import TESTBED, Case, command_output, lighter_only

FIRST, SECOND = "testbed/layers:latest", "testbed/layers:v2"
MB = 1_000_000
WHOLE = 41 * MB  # of which the last MB differs


@lighter_only
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
