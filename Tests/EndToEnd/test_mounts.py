"""Bind mounts: the device's own files, wherever the container runs. Targets have a /tmp of their own."""

import hashlib
import json
import os
import stat
import subprocess

from fixture import TESTBED, Case, command_output, eventually, lighter_only, remote_only


class Mounts(Case):
    def run_with(self, script, *mounts, expect=0, rm=True, image="busybox"):
        """Runs a shell script to its end in a container elsewhere."""
        name = self.name()
        found = self.docker("run", "--name", name, *mounts, image, "sh", "-c", script, expect=expect, timeout=120)
        self.assert_at("cloud1", name)
        if rm:
            self.docker("rm", name)
        return found

    def live(self, *mounts):
        name = self.service(*mounts)
        self.assert_at("cloud1", name)
        return name

    def sent(self):
        shown = json.loads(command_output(TESTBED, "exec", "edge1", "ip", "-j", "-s", "link", "show", "dev", "eth0"))
        return shown[0]["stats64"]["tx"]["bytes"]

    def test_what_a_container_reads_is_the_devices_and_what_it_writes_is_there_at_its_end(self):
        folder = self.folder()
        (folder / "in").write_text("hello\n")
        found = self.run_with(
            "cat /data/in; echo out > /data/out; rm /data/in; mkdir /data/sub; echo x > /data/sub/y; exit 7",
            "-v", f"{folder}:/data", expect=7)
        self.assertEqual(found.out, "hello\n")
        self.assertEqual((folder / "out").read_text(), "out\n")
        self.assertEqual((folder / "sub" / "y").read_text(), "x\n")
        self.assertFalse((folder / "in").exists())

    def test_so_it_is_with_a_container_that_removes_itself_and_with_the_long_form(self):
        folder = self.folder()
        self.docker("run", "--rm", "--mount", f"type=bind,source={folder},target=/data", "busybox", "sh", "-c",
                    "echo 1 > /data/one")
        self.assertEqual((folder / "one").read_text(), "1\n")

    def test_changes_go_both_ways_while_it_runs(self):
        folder = self.folder()
        name = self.live("-v", f"{folder}:/data")
        for turn in range(3):
            (folder / "from-device").write_text(f"{turn}\n")
            eventually("the container sees it", lambda t=turn: self.docker(
                "exec", name, "cat", "/data/from-device", expect=None).out == f"{t}\n", 10)
            self.docker("exec", name, "sh", "-c", f"echo {turn} > /data/from-container")
            eventually("the device sees it", lambda t=turn: (folder / "from-container").exists()
                       and (folder / "from-container").read_text() == f"{t}\n", 10)
        self.docker("exec", name, "rm", "/data/from-device")
        eventually("it is gone here", lambda: not (folder / "from-device").exists(), 10)

    def test_what_a_container_in_the_background_wrote_comes_home_by_itself(self):
        folder = self.folder()
        name = self.name()
        self.docker("run", "-d", "--name", name, "-v", f"{folder}:/data", "busybox", "sh", "-c",
                    "sleep 1; echo done > /data/result")
        eventually("the result is here", lambda: (folder / "result").exists(), 15)
        self.docker("wait", name)
        self.assertEqual((folder / "result").read_text(), "done\n")

    def test_kinds_and_modes_are_kept(self):
        folder = self.folder()
        (folder / "run.sh").write_text("#!/bin/sh\necho ran\n")
        (folder / "run.sh").chmod(0o750)
        (folder / "link").symlink_to("run.sh")
        (folder / "empty").mkdir(mode=0o711)
        os.chown(folder / "run.sh", 1234, 4321)
        found = self.run_with(
            "/data/link; stat -c '%a %u %g' /data/run.sh; stat -c %a /data/empty; ln -s nowhere /data/dangling; "
            "touch /data/mine; chmod 604 /data/mine; chown 7:8 /data/mine", "-v", f"{folder}:/data")
        self.assertEqual(found.out, "ran\n750 1234 4321\n711\n")
        self.assertEqual(os.readlink(folder / "dangling"), "nowhere")
        mine = (folder / "mine").stat()
        self.assertEqual((stat.S_IMODE(mine.st_mode), mine.st_uid, mine.st_gid), (0o604, 7, 8))

    def test_a_read_only_mount_is_one(self):
        folder = self.folder()
        (folder / "in").write_text("kept\n")
        found = self.run_with("cat /data/in; echo no > /data/in", "-v", f"{folder}:/data:ro", expect=1)
        self.assertEqual(found.out, "kept\n")
        self.assertIn("Read-only file system", found.err)
        self.assertEqual((folder / "in").read_text(), "kept\n")

    def test_a_single_file_is_mounted_as_one(self):
        file = self.folder() / "app.conf"
        file.write_text("a=1\n")
        name = self.live("-v", f"{file}:/etc/app.conf")
        self.assertEqual(self.docker("exec", name, "cat", "/etc/app.conf").out, "a=1\n")
        file.write_text("a=2\n")
        eventually("the edit is seen", lambda: self.docker("exec", name, "cat", "/etc/app.conf").out == "a=2\n", 10)
        self.docker("exec", name, "sh", "-c", "echo a=3 > /etc/app.conf")
        self.docker("stop", "-t", "0", name)
        self.assertEqual(file.read_text(), "a=3\n")

    def test_what_was_written_last_is_here_when_a_stop_or_a_removal_returns(self):
        folder = self.folder()
        for last in (("stop", "-t", "0"), ("rm", "-f")):
            name = self.live("-v", f"{folder}:/data")
            self.docker("exec", name, "sh", "-c", f"echo {last[0]} > /data/{last[0]}")
            self.docker(*last, name)
            self.assertEqual((folder / last[0]).read_text(), f"{last[0]}\n")

    def test_a_mount_inside_another(self):
        outer, inner = self.folder(), self.folder()
        (outer / "o").write_text("o")
        (inner / "i").write_text("i")
        found = self.run_with("cat /data/o /data/sub/i; echo new > /data/sub/new", "-v", f"{outer}:/data", "-v",
                              f"{inner}:/data/sub")
        self.assertEqual(found.out, "oi")
        self.assertEqual((inner / "new").read_text(), "new\n")

    def test_a_source_that_is_missing_is_made_or_is_an_error_as_docker_has_it(self):
        folder = self.folder()
        self.run_with("echo x > /data/x", "-v", f"{folder}/made/here:/data")
        self.assertEqual((folder / "made" / "here" / "x").read_text(), "x\n")
        found = self.docker("run", "--rm", "--mount", f"type=bind,source={folder}/none,target=/data", "busybox", "true",
                            expect=125)
        self.assertIn("bind source path does not exist", found.err)
        self.assertFalse((folder / "none").exists())

    def test_the_devices_paths_are_shown(self):
        folder = self.folder()
        name = self.live("-v", f"{folder}:/data/:ro")
        self.assertEqual(json.loads(self.inspect(name, "{{json .HostConfig.Binds}}")), [f"{folder}:/data/:ro"])
        shown = json.loads(self.inspect(name, "{{json .Mounts}}"))
        self.assertEqual([(m["Type"], m["Source"], m["Destination"], m["RW"]) for m in shown],
                         [("bind", str(folder), "/data", False)])

    def test_two_containers_share_a_mount(self):
        folder = self.folder()
        one, two = self.live("-v", f"{folder}:/data"), self.live("-v", f"{folder}:/data")
        self.docker("exec", one, "sh", "-c", "echo shared > /data/f")
        eventually("the other sees it", lambda: self.docker(
            "exec", two, "cat", "/data/f", expect=None).out == "shared\n", 10)
        self.docker("rm", "-f", one)
        (folder / "late").write_text("late\n")
        eventually("the mount is still live", lambda: self.docker(
            "exec", two, "cat", "/data/late", expect=None).out == "late\n", 10)

    @remote_only
    def test_only_differences_travel(self):
        folder = self.folder()
        (folder / "big").write_bytes(os.urandom(8_000_000))
        before = self.sent()
        self.run_with("md5sum /data/big", "-v", f"{folder}:/data")
        self.assertGreater(self.sent() - before, 8_000_000)
        with open(folder / "big", "r+b") as big:
            big.seek(4_000_000)
            big.write(b"changed")
        before = self.sent()
        found = self.run_with("md5sum < /data/big", "-v", f"{folder}:/data")
        self.assertLess(self.sent() - before, 1_000_000)
        self.assertEqual(found.out.split()[0], hashlib.md5((folder / "big").read_bytes()).hexdigest())

    @remote_only
    def test_what_is_the_devices_own_keeps_the_container_there(self):
        name = self.name()
        found = self.docker("run", "-d", "--name", name, "-v", "/var/run:/host-run", "busybox", "sleep", "60")
        self.assertIn("bind mount /var/run", found.err)
        self.assert_at("edge1", name)

    @lighter_only
    def test_mounts_survive_the_restart_of_either_daemon(self):
        self.addCleanup(self.fleet, "up")
        folder = self.folder()
        name = self.live("-v", f"{folder}:/data")
        for node in ("edge1", "cloud1"):
            self.fleet("daemon", node, "kill")
            self.fleet("daemon", node, "start")
            eventually("exec works", lambda: self.docker("exec", name, "true", expect=None).code == 0, 30)
            self.docker("exec", name, "sh", "-c", f"echo {node} > /data/{node}")
        self.docker("stop", "-t", "0", name)
        self.docker("wait", name)
        for node in ("edge1", "cloud1"):
            eventually(f"what was written after {node}'s restart is here", lambda n=node: (folder / n).exists(), 20)

    @remote_only
    def test_outputs_made_while_the_link_was_cut_come_home(self):
        self.addCleanup(self.fleet, "up")
        folder = self.folder()
        name = self.name()
        self.docker("run", "-d", "--name", name, "-v", f"{folder}:/data", "busybox", "sh", "-c",
                    "sleep 3; echo done > /data/result; exit 5")
        self.fleet("cut", "cloud1")
        eventually("it has ended", lambda: "Exited (5)" in self.docker(
            "ps", "-a", "--format", "{{.Names}} {{.Status}}", at="cloud1", engine=True).out, 20)
        self.fleet("heal", "cloud1")
        eventually("the result is here", lambda: (folder / "result").exists(), 40)
        self.assertEqual(self.docker("wait", name).line, "5")

    @remote_only
    def test_a_run_that_ends_and_removes_itself_behind_a_cut_link_has_its_code_and_its_outputs(self):
        self.addCleanup(self.fleet, "up")
        folder = self.folder()
        name = self.name()
        run = self.start("run", "--rm", "--name", name, "-v", f"{folder}:/data", "busybox", "sh", "-c",
                         "echo begun; sleep 3; echo done > /data/result; exit 7")
        self.assertEqual(run.stdout.readline(), b"begun\n")
        self.fleet("cut", "cloud1")
        eventually("it is gone at its node", lambda: f"{name}.edge1" not in self.docker(
            "ps", "-a", "--format", "{{.Names}}", at="cloud1", engine=True).out.split(), 20)
        # Long enough for both sides to give the link up.
        with self.assertRaises(subprocess.TimeoutExpired):
            run.wait(25)
        self.fleet("heal", "cloud1")
        self.assertEqual(run.wait(60), 7, run.stderr.read())
        self.assertEqual((folder / "result").read_text(), "done\n")
        eventually("it is forgotten", lambda: name not in self.names("-a"), 10)

    @remote_only
    def test_a_wait_is_held_while_outputs_are_behind_a_cut_link(self):
        self.addCleanup(self.fleet, "up")
        folder = self.folder()
        name = self.name()
        # More than the link carries before it is cut, and small before that.
        self.docker("run", "-d", "--name", name, "-v", f"{folder}:/data", "busybox", "sh", "-c",
                    "sleep 2; dd if=/dev/urandom of=/data/large bs=1M count=60 2>/dev/null; exit 5")
        wait = self.start("wait", name)
        eventually("it has ended", lambda: "Exited (5)" in self.docker(
            "ps", "-a", "--format", "{{.Names}} {{.Status}}", at="cloud1", engine=True).out, 20)
        eventually("its end is known here", lambda: self.state(name) == "exited")
        self.fleet("cut", "cloud1")
        with self.assertRaises(subprocess.TimeoutExpired):
            wait.wait(45)
        self.fleet("heal", "cloud1")
        self.assertEqual(wait.wait(90), 0, wait.stderr.read())
        self.assertEqual(wait.stdout.read(), b"5\n")
        self.assertEqual((folder / "large").stat().st_size, 60 << 20)
