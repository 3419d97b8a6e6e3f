"""Images on their way to another node: only what it lacks travels."""

import http.client
import json
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from fixture import PLAIN, REPO, TESTBED, Case, command_output, environment, eventually, lighter_only, remote_only

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

    def test_what_has_come_before_a_cut_does_not_travel_again(self):
        self.mended()
        folder = Path(self.world.credentials).parents[2] / "cloud1" / "layers" / "edge1"
        kept = lambda: sum(x.stat().st_size for x in folder.glob("*")) if folder.exists() else 0
        process = self.start("run", "--name", self.name(), FIRST, stdin=subprocess.DEVNULL)
        eventually("half of it has come", lambda: kept() > WHOLE / 2, 60)
        command_output(TESTBED, "cut", "cloud1")
        process.wait(120)
        had = kept()
        # Neither daemon has to remember.
        for node in ("cloud1", "edge1"):
            self.fleet("daemon", node, "kill")
        command_output(TESTBED, "heal", "cloud1")
        self.fleet("up")
        self.goes_away()
        found, moved = self.run_away(FIRST)
        self.assertEqual(found.out, "v1\n")
        self.assertGreater(had, WHOLE / 2)
        self.assertLess(moved, WHOLE - had + 3 * MB)
        self.assertEqual(kept(), 0)

    def goes_away(self):
        """Work leaves the device again after a cut."""
        def tried():
            name = self.name()
            self.docker("run", "--name", name, "busybox", "true")
            return self.whereabouts(name) == {"cloud1"}
        eventually("work goes away again", tried, 30)


@remote_only
class Cache(Case):
    """What images may take of a node that others brought there."""

    MADE = 8 * MB  # bytes of each image that is made here, above busybox

    def setUp(self):
        super().setUp()
        self.settings = Path(self.world.credentials).parents[2] / "cloud1" / "lighterd.conf"
        before = self.settings.read_text()
        self.addCleanup(self.restart)
        self.addCleanup(self.settings.write_text, before)
        # Two of them are too much.
        self.settings.write_text(f"{before}\nimage_cache_max_bytes = {self.MADE * 3 // 2}\nimage_cache_keep = 1s\n")
        self.restart()

    def restart(self):
        self.fleet("daemon", "cloud1", "stop")
        self.fleet("daemon", "cloud1", "start")
        self.fleet("up")

    def made(self):
        """An image of its own on the device, without a registry: its name and id."""
        name, image = self.name(), self.image()
        self.docker("run", "--name", name, "--label", "lighter.policy=local", "busybox", "sh", "-c",
                    f"head -c {self.MADE} /dev/urandom > /data", at="edge1")
        ident = self.docker("commit", "--change", 'CMD ["wc", "-c", "/data"]', name, image, at="edge1", engine=True).line
        self.docker("rm", name)
        self.addCleanup(self.docker, "rmi", "-f", ident, at="cloud1", engine=True, expect=None)
        return image, ident

    def away(self, image):
        """A container of it ran at the node, and is gone."""
        name = self.name()
        self.assertEqual(self.docker("run", "--name", name, image).out, f"{self.MADE} /data\n")
        self.assert_at("cloud1", name)
        self.docker("rm", name)

    def there(self, ident):
        return self.docker("image", "inspect", ident, at="cloud1", engine=True, expect=None).code == 0

    def unused(self):
        """Longer than an image is kept for its own sake."""
        time.sleep(2)

    def images(self, *args, expect=0):
        path = self.world.front_doors["edge1"].removeprefix("unix://")
        return self.program("lighter", "images", *args, "--socket", path, expect=expect)

    def place(self, ident):
        """What `lighter images` says of an image at cloud1."""
        rows = json.loads(self.images("--format", "json").stdout)
        return next(p for row in rows if row["id"] == ident for p in row["nodes"] if p["node"] == "cloud1")

    def test_the_least_recently_used_goes_and_is_shipped_again_when_it_is_needed(self):
        (first, one), (second, other) = self.made(), self.made()
        self.away(first)
        self.assertTrue(self.place(one)["brought"])
        self.unused()
        self.away(second)
        eventually("the first has gone", lambda: not self.there(one))
        self.assertTrue(self.there(other))
        self.assertEqual((self.place(one)["has"], self.place(other)["has"]), (False, True))
        self.unused()
        self.away(first)
        eventually("the second has gone", lambda: not self.there(other))

    def test_it_is_known_after_a_restart_and_nothing_of_the_owners_ever_goes(self):
        (first, one), (second, other), (third, last) = self.made(), self.made(), self.made()
        self.away(first)
        self.docker("tag", one, f"{self.tag}:owner", at="cloud1", engine=True)
        self.addCleanup(self.docker, "rmi", f"{self.tag}:owner", at="cloud1", engine=True, expect=None)
        self.away(second)
        self.restart()
        self.unused()
        self.away(third)
        eventually("the second has gone", lambda: not self.there(other))
        self.assertTrue(self.there(one))
        self.assertFalse(self.place(one)["brought"])

    def test_what_a_container_uses_and_what_is_pinned_stays(self):
        (first, one), (second, other), (third, last) = self.made(), self.made(), self.made()
        name = self.name()
        self.docker("run", "--name", name, first)
        self.assertEqual(self.images("pin", second, "--node", "cloud1", expect=1).stderr.count("unpin another"), 1)
        self.away(second)
        self.unused()
        self.away(third)
        eventually("the second has gone", lambda: not self.there(other))
        self.assertTrue(self.there(one) and self.there(last))
        self.docker("rm", name)

    def test_a_pin_is_shown_and_holds(self):
        self.settings.write_text(self.settings.read_text().replace(f"= {self.MADE * 3 // 2}", f"= {self.MADE * 3}"))
        self.restart()
        (first, one), (second, other), (third, last) = self.made(), self.made(), self.made()
        self.assertEqual(self.images("pin", first, "--node", "cloud1").stdout, "cloud1: pinned\n")
        self.assertTrue(self.there(one))
        self.assertTrue(self.place(one)["pinned"])
        self.assertIn("yes", self.images().stdout)
        self.away(second)
        self.unused()
        self.away(third)
        eventually("the second has gone", lambda: not self.there(other))
        self.assertTrue(self.there(one))
        self.assertEqual(self.images("unpin", first).stdout, "cloud1: not pinned any more\n")
        self.assertFalse(self.place(one)["pinned"])


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


class Registry:
    """A registry beside the nodes, which all of them reach; they trust their own network without TLS."""

    ADDRESS = "10.77.0.254"

    def __init__(self):
        command_output(REPO / "scripts" / "need", "registry")
        self.folder = tempfile.TemporaryDirectory(prefix="registry-")
        with socket.create_server((self.ADDRESS, 0)) as probe:
            self.port = probe.getsockname()[1]
        self.name = f"{self.ADDRESS}:{self.port}"
        config = Path(self.folder.name) / "config.yml"
        config.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {self.folder.name}"
                          f"/data}}}}\nhttp: {{addr: '{self.name}'}}\n")
        self.process = subprocess.Popen([shutil.which("docker-registry"), "serve", config], cwd=self.folder.name,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually("the registry answers", self.answers)

    def answers(self):
        try:
            return self.get("/v2/")[0] == 200
        except OSError:
            return False

    def get(self, path):
        connection = http.client.HTTPConnection(self.ADDRESS, self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


class Pulls(Case):
    """An image that a registry has, and no node: the docker client pulls it for a container elsewhere."""

    def setUp(self):
        super().setUp()
        registry = Registry()
        self.addCleanup(registry.close)
        self.registry = registry
        self.image = f"{registry.name}/team/app-{secrets.token_hex(4)}:v1"
        # An image of its own, which no node has.
        name = self.name()
        self.docker("run", "--name", name, "--label", "lighter.policy=local", "busybox", "sh", "-c",
                    f"echo {self.tag} > /tag", at="edge1")
        self.docker("commit", "--change", 'CMD ["cat", "/tag"]', name, self.image, at="edge1", engine=True)
        self.docker("push", self.image, at="edge1", engine=True)
        self.image_id = self.docker("image", "inspect", "--format", "{{.Id}}", self.image, at="edge1", engine=True).line
        self.docker("rm", name)
        self.docker("rmi", self.image, at="edge1", engine=True)
        for node in ("edge1", "cloud1"):
            self.addCleanup(self.docker, "rmi", "-f", self.image_id, at=node, engine=True, expect=None)
        self.addCleanup(self.docker, "rmi", "-f", self.image, expect=None)

    def pulled(self):
        """A container of it; the docker client pulled the image on the way."""
        name = self.name()
        found = self.docker("run", "--name", name, self.image)
        self.assertEqual(found.out, f"{self.tag}\n")
        self.assert_at("cloud1", name)
        return name

    def test_it_is_listed_inspected_tagged_and_removed_as_if_the_device_had_it(self):
        name = self.pulled()
        self.assertEqual(self.docker("image", "inspect", "--format", "{{.Id}} {{.RepoTags}}", self.image).line,
                         f"{self.image_id} [{self.image}]")
        listed = self.docker("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").out.splitlines()
        self.assertEqual([x for x in listed if self.image_id in x], [f"{self.image} {self.image_id}"])
        self.assertEqual(self.docker("images", "-q", "--no-trunc", self.image).line, self.image_id)
        self.assertIn(self.image_id[7:19], self.docker("history", self.image).out)
        self.docker("tag", self.image, f"{self.tag}:other")
        self.addCleanup(self.docker, "rmi", "-f", f"{self.tag}:other", expect=None)
        again = self.name()
        self.assertEqual(self.docker("run", "--name", again, f"{self.tag}:other").out, f"{self.tag}\n")
        self.assert_at("cloud1", again)
        self.docker("rm", again)
        self.assertIn(f"Untagged: {self.image}", self.docker("rmi", self.image).out)
        self.assertIn("is using", self.docker("rmi", f"{self.tag}:other", expect=1).err)
        self.docker("rm", name)
        self.docker("rmi", f"{self.tag}:other")
        self.docker("image", "inspect", self.image_id, expect=1)

    @lighter_only
    @remote_only
    def test_questions_move_nothing_and_a_save_brings_it_home(self):
        self.pulled()
        self.docker("image", "inspect", self.image)
        self.docker("image", "inspect", self.image_id, at="edge1", engine=True, expect=1)
        saved = self.docker("save", self.image, text=False).out
        self.assertIn(self.image.rsplit(":", 1)[0].encode(), saved)
        self.assertEqual(self.docker("image", "inspect", "--format", "{{.Id}}", self.image, at="edge1",
                                     engine=True).line, self.image_id)
        self.docker("rmi", "-f", self.image, at="edge1", engine=True)

    @lighter_only
    def test_a_container_of_it_on_the_device_brings_it_home(self):
        self.pulled()
        found = self.docker("run", "--rm", "--label", "lighter.policy=local", "--pull", "never", self.image)
        self.assertEqual(found.out, f"{self.tag}\n")
        self.docker("rmi", "-f", self.image, at="edge1", engine=True)

    def test_docker_py_runs_it_and_has_its_image(self):
        try:
            import docker
        except ImportError:
            self.skipTest("docker-py is not installed")
        client = docker.DockerClient(base_url=self.world.front_doors["edge1"], timeout=60)
        self.addCleanup(client.close)
        self.assertEqual(client.containers.run(self.image, name=self.name()), f"{self.tag}\n".encode())
        self.assertEqual(client.images.get(self.image).id, self.image_id)
        self.assertIn(self.image_id, [x.id for x in client.images.list()])

    @lighter_only
    def test_it_is_pushed_from_the_device(self):
        self.pulled()
        repository = f"{self.registry.name}/team/copy"
        self.docker("tag", self.image, f"{repository}:v2")
        self.docker("push", f"{repository}:v2")
        self.assertEqual(self.registry.get("/v2/team/copy/tags/list")[1].strip(), b'{"name":"team/copy","tags":["v2"]}')
        self.docker("rmi", "-f", f"{repository}:v2", self.image, at="edge1", engine=True)


class Builds(Case):
    """`docker build` by the classic builder: what docker-py and older clients use."""

    def folder(self, dockerfile, **files):
        folder = self.scratch()
        (folder / "Dockerfile").write_text(dockerfile)
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text)
        return folder

    def forget(self, *images):
        for node in ("edge1", "cloud1"):
            for image in images:
                self.addCleanup(self.docker, "rmi", "-f", image, at=node, engine=True, expect=None)

    def build(self, folder, *args, expect=0):
        """A build's output, with the image's id at its end; the image has the test's name."""
        done = subprocess.run(["docker", "build", "-t", f"{self.tag}:v1", *args, str(folder)], text=True, timeout=120,
                              capture_output=True,
                              env={**environment(self.world.front_doors["edge1"]), "DOCKER_BUILDKIT": "0"})
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        if expect:
            return done.stdout + done.stderr
        self.forget(f"{self.tag}:v1", self.docker("image", "inspect", "--format", "{{.Id}}", f"{self.tag}:v1").line)
        return done.stdout

    def log(self):
        log = Path(self.world.credentials).parents[2] / "edge1" / "daemon.log"
        return log.read_text(errors="replace").splitlines()

    def built_away(self, image):
        found = self.docker("image", "inspect", "--format", "{{.Id}}", image, at="edge1", engine=True).line
        return any("image built away" in x and found in x for x in self.log())

    def assert_away(self, image):
        if not PLAIN:
            self.assertTrue(self.built_away(image))

    @remote_only
    def test_the_image_is_on_the_device_with_its_name_and_runs(self):
        folder = self.folder("FROM busybox AS one\nARG WORD=none\nCOPY . /in/\nRUN echo $WORD > /word\n"
                             "FROM busybox\nCOPY --from=one /in /in\nCOPY --from=one /word /word\n"
                             'CMD ["sh", "-c", "ls -A /in; cat /word"]\n', text="a", x_skipped="b",
                             _dockerignore="*.skipped\n.dockerignore\nDockerfile\n")
        out = self.build(folder, "--build-arg", "WORD=given")
        self.assertIn("Successfully built", out)
        self.assertIn(" : FROM busybox as one", out.replace(" AS ", " as "))
        self.assertIn(f"Successfully tagged {self.tag}:v1", out)
        self.assert_away(f"{self.tag}:v1")
        self.assertIn("/word", self.docker("history", "--no-trunc", f"{self.tag}:v1").out)
        for policy in ("local", "remote"):
            found = self.docker("run", "--rm", "--label", f"lighter.policy={policy}", f"{self.tag}:v1")
            self.assertEqual(found.out, "text\ngiven\n")

    @lighter_only
    def test_the_same_context_gives_the_same_files_here_and_there(self):
        for ignored in ("", "Dockerfile\n"):
            more = {"_dockerignore": ignored + ".dockerignore\n"}
            folder = self.folder("FROM busybox\nCOPY . /in/\nCMD find /in -type f\n", a_b="c", **more)
            shown = {}
            for policy in ("local", "remote"):
                self.build(folder, "--label", f"lighter.policy={policy}")
                self.assertEqual(self.built_away(f"{self.tag}:v1"), policy == "remote")
                shown[policy] = sorted(self.docker("run", "--rm", f"{self.tag}:v1").out.split())
            self.assertEqual(shown["local"], shown["remote"])
            self.assertIn("/in/a.b", shown["remote"])

    @lighter_only
    @remote_only
    def test_a_base_that_only_the_device_has_travels_first_and_names_there_are_left_alone(self):
        base = f"{self.tag}-base"
        name = self.name()
        self.docker("run", "--name", name, "--label", "lighter.policy=local", "busybox", "sh", "-c", "echo mine > /base")
        self.docker("commit", name, base, at="edge1", engine=True)
        # There the name means something else.
        there = self.docker("create", "busybox", at="cloud1", engine=True, expect=None)
        if there.code == 0:
            self.addCleanup(self.docker, "rm", there.line, at="cloud1", engine=True, expect=None)
            self.docker("commit", there.line, base, at="cloud1", engine=True)
        self.forget(base)
        before = self.docker("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}", at="cloud1", engine=True).out
        self.build(self.folder(f'FROM {base}\nRUN cat /base > /copy\nCMD ["cat", "/copy"]\n'))
        self.assert_away(f"{self.tag}:v1")
        self.assertEqual(self.docker("run", "--rm", f"{self.tag}:v1").out, "mine\n")
        after = self.docker("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}", at="cloud1", engine=True).out
        named = lambda text: sorted(x for x in text.splitlines() if not x.startswith("<none>"))
        self.assertEqual(named(before), named(after))

    def test_an_error_of_the_build_is_shown_as_it_is(self):
        out = self.build(self.folder("FROM busybox\nRUN exit 7\n"), expect=7)
        self.assertIn("returned a non-zero code: 7", out)
        self.docker("image", "inspect", f"{self.tag}:v1", expect=1)

    @remote_only
    def test_progress_comes_as_it_happens_and_a_client_that_leaves_ends_the_build(self):
        folder = self.folder(f"FROM busybox\nRUN echo begun && sleep 3{self.count}7\n")
        process = subprocess.Popen(["docker", "build", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env={**environment(self.world.front_doors["edge1"]), "DOCKER_BUILDKIT": "0"})
        self.addCleanup(self.reap, process)
        seen = b""
        end = time.monotonic() + 60
        while b"\nbegun\n" not in seen and time.monotonic() < end:
            seen += process.stdout.read1(4096)
        self.assertIn(b"\nbegun\n", seen)
        node = "edge1" if PLAIN else "cloud1"
        running = lambda: self.docker("ps", "-q", "--no-trunc", "--filter", "ancestor=busybox", at=node,
                                      engine=True).out + self.docker("ps", "--no-trunc", "--format", "{{.Command}}",
                                                                     at=node, engine=True).out
        self.assertIn("begun", running())
        process.kill()
        eventually("the build has ended", lambda: "begun" not in running(), 20)

    @lighter_only
    def test_what_would_be_wrong_elsewhere_is_built_on_the_device(self):
        self.build(self.folder("FROM busybox\nRUN true\n"), "--network", "host")
        self.assertFalse(self.built_away(f"{self.tag}:v1"))
        folder = self.folder("FROM busybox\nCOPY --from=testbed/web /bin/busybox /b\n")
        self.docker("image", "inspect", "testbed/web", at="edge1", engine=True)
        self.build(folder)
        self.assertFalse(self.built_away(f"{self.tag}:v1"))

    @lighter_only
    def test_with_the_node_out_of_reach_it_is_built_on_the_device(self):
        self.mended()
        command_output(TESTBED, "cut", "cloud1")
        self.build(self.folder("FROM busybox\nRUN true\n"))
        self.assertFalse(self.built_away(f"{self.tag}:v1"))

    @remote_only
    def test_docker_py_builds_and_finds_its_image(self):
        try:
            import docker
        except ImportError:
            self.skipTest("docker-py is not installed")
        client = docker.DockerClient(base_url=self.world.front_doors["edge1"], timeout=60)
        self.addCleanup(client.close)
        image, lines = client.images.build(path=str(self.folder("FROM busybox\nRUN echo py > /py\n")),
                                           tag=f"{self.tag}:v1", rm=True)
        self.forget(image.id)
        self.assertIn(f"{self.tag}:v1", image.tags)
        self.assertTrue(any("Successfully built" in x.get("stream", "") for x in lines))
        self.assert_away(f"{self.tag}:v1")
        self.assertEqual(client.containers.run(f"{self.tag}:v1", ["cat", "/py"], remove=True), b"py\n")
