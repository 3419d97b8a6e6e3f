"""A source tree of 20,000 files, mounted: built in, edited at both ends, and never left half written by a fault."""

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fixture import REPO, Case, environment, eventually, remote_only

sys.path.insert(0, str(REPO / "Benchmarks"))
from trees import grow  # noqa: E402

FILES = 20_000
# Generations of files, each with its own digest in its first line, put in place whole, as careful programs do it.
GENERATIONS = """
i=0
while :; do
    i=$((i+1))
    for name in a b c; do
        head -c 300000 /dev/urandom | od -An -tx1 > /data/.next
        { md5sum < /data/.next; cat /data/.next; } > /data/.whole
        mv /data/.whole /data/$name
    done
    echo $i
done
"""


class Trees(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.home = tempfile.TemporaryDirectory(prefix="e2e-tree-", dir="/tmp", ignore_cleanup_errors=True)
        cls.addClassCleanup(cls.home.cleanup)
        cls.tree = Path(cls.home.name)
        grow(cls.tree, FILES, "trees")
        (cls.tree / ".gitignore").write_text("build/\n")
        cls.git("init", "-q")
        cls.git("add", "-A")
        cls.git("-c", "user.name=e2e", "-c", "user.email=e2e@localhost", "commit", "-q", "-m", "all")
        cls.git("repack", "-adq")
        cls.git("prune-packed", "-q")

    @classmethod
    def git(cls, *args):
        # Nothing in the background, nothing of the user's own settings.
        env = {**environment(""), "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "HOME": cls.home.name}
        done = subprocess.run(["git", "-c", "gc.auto=0", "-c", "maintenance.auto=false", *args], cwd=cls.tree,
                              capture_output=True, text=True, env=env, timeout=120)
        if done.returncode:
            raise RuntimeError(f"git {' '.join(args)}: {done.stderr}")
        return done.stdout

    def assert_clean(self, *changed):
        """Git finds nothing changed but these, nothing damaged, and no temporary files are left anywhere."""
        self.assertEqual(sorted(self.git("status", "--porcelain").splitlines()), sorted(changed))
        self.git("fsck", "--full", "--strict")
        self.assertEqual(self.left_overs(self.tree), [])

    @staticmethod
    def left_overs(folder):
        return [str(p) for p in folder.rglob(".lighter-*")]

    def files(self):
        return sorted(p for p in self.tree.rglob("source*.txt"))

    def test_a_build_inside_it_with_edits_at_both_ends_leaves_git_with_what_was_edited(self):
        name = self.name()
        self.docker("run", "-d", "--name", name, "-v", f"{self.tree}:/tree", "-w", "/tree", "busybox", "sleep", "600",
                    timeout=120)
        self.assert_at("cloud1", name)
        self.docker("exec", name, "sh", "-c",
                    "mkdir -p build && for part in part*; do find $part -type f -exec cat {} + | md5sum > build/$part.sum;"
                    " find $part -name '*.txt' | while read f; do wc -l < $f > build/$(basename $f).lines; done; done",
                    timeout=300)
        here, there = self.files()[10], self.files()[5000]
        with open(here, "a") as file:
            file.write("edited on the device\n")
        self.docker("exec", name, "sh", "-c", f"echo edited in the container >> {there.relative_to(self.tree)}")
        eventually("the container sees the device's edit", lambda: "edited on the device" in self.docker(
            "exec", name, "tail", "-n", "1", str(here.relative_to(self.tree))).out)
        eventually("the device sees the container's", lambda: there.read_text().endswith("edited in the container\n"))
        self.git("checkout", "--", str(here))
        eventually("what git restored is there, too", lambda: "edited" not in self.docker(
            "exec", name, "tail", "-n", "1", str(here.relative_to(self.tree))).out)
        self.docker("stop", "-t", "0", name)
        self.assert_clean(f" M {there.relative_to(self.tree)}")
        outputs = list((self.tree / "build").glob("*.lines"))
        self.assertEqual(len(outputs), len(self.files()))
        for path in self.files()[::997]:
            said = (self.tree / "build" / f"{path.name}.lines").read_text()
            self.assertEqual(int(said), path.read_text().count("\n") - (path == there))
        self.git("checkout", "--", ".")
        self.docker("run", "--rm", "-v", f"{self.tree}:/tree", "busybox", "rm", "-r", "/tree/build", timeout=120)
        self.assertFalse((self.tree / "build").exists())
        self.assert_clean()

    @remote_only
    def test_its_first_sync_can_be_followed_and_survives_a_link_that_is_cut_and_healed(self):
        self.mended()
        folder = self.folder()
        grow(folder, 4000, self.tag)
        before = self.digest(folder)
        name = self.name()
        self.docker("create", "--name", name, "-v", f"{folder}:/tree", "busybox", "sh", "-c",
                    "find /tree -type f | wc -l; touch /tree/ended")
        starting = self.start("start", "-a", name)
        shown = eventually("its progress is told", lambda: next(
            (m for m in self.mounts() if m["source"] == str(folder) and m["pathsDone"] > 0), None), 30)
        self.assertEqual((shown["node"], shown["state"]), ("cloud1", "first sync"))
        self.assertGreater(shown["pathsPlanned"], 4000)
        self.fleet("cut", "cloud1")
        time.sleep(1)
        self.fleet("heal", "cloud1")
        out, err = starting.communicate(timeout=60)
        if starting.returncode:
            # Told, and nothing is harmed: the next try brings the rest.
            self.assertIn(str(folder), err.decode())
            out = eventually("it starts", lambda: self.docker("start", "-a", name, expect=None, timeout=60).out, 60)
            out = out.encode()
        self.assertEqual(int(out), 4000)
        self.assertTrue((folder / "ended").exists())
        (folder / "ended").unlink()
        self.assertEqual(self.digest(folder), before)
        self.assertEqual(self.left_overs(folder), [])

    @remote_only
    def test_a_target_that_is_killed_while_it_writes_leaves_only_whole_files_on_the_device(self):
        self.mended()
        folder = self.folder()
        name = self.name()
        self.docker("run", "-d", "--name", name, "-v", f"{folder}:/data", "busybox", "sh", "-c", GENERATIONS)
        self.assert_at("cloud1", name)
        seen = set()

        def generations():
            if self.whole(folder, "b"):
                seen.add((folder / "b").read_bytes()[:32])
            return len(seen) > 2
        eventually("generations come home", generations, 40)
        self.fleet("kill", "cloud1")
        for part in ("a", "b", "c"):
            self.assertTrue(self.whole(folder, part), f"{part} is half written")
        # The device notices by itself, and keeps nothing unfinished.
        eventually("nothing temporary is left", lambda: not self.left_overs(folder), 40)
        for part in ("a", "b", "c"):
            self.assertTrue(self.whole(folder, part), f"{part} is half written")
        (folder / "a").write_text("the device goes on\n")
        self.fleet("up")
        eventually("its end is known", lambda: self.state(name) == "exited", 60)
        self.docker("start", name, timeout=120)
        eventually("it goes on where the device is", lambda: self.whole(folder, "a"), 40)
        self.docker("rm", "-f", name)

    @staticmethod
    def whole(folder, name):
        """Whether a file is one of its generations, from its first byte to its last."""
        head, _, rest = (folder / name).read_bytes().partition(b"\n") if (folder / name).exists() else (b"", b"", b"")
        return head.split()[:1] == [hashlib.md5(rest).hexdigest().encode()]

    def mounts(self):
        door = self.world.front_doors["edge1"].removeprefix("unix://")
        return json.loads(self.program("lighter", "mounts", "--socket", door, "--format", "json", expect=0).stdout)

    @staticmethod
    def digest(folder):
        paths = sorted(p for p in folder.rglob("*") if p.is_file())
        return hashlib.sha256(b"".join(str(p).encode() + p.read_bytes() for p in paths)).hexdigest()
