"""What is done to a container: logs, exec, files, stop, kill, rename, stats and the like."""

import io
import os
import re
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

from fixture import Case, eventually, json_lines


class Logs(Case):
    def test_logs_are_what_was_printed(self):
        name = self.name()
        self.docker("run", "--name", name, "busybox", "sh", "-c", "echo one; echo two >&2; echo three")
        found = self.docker("logs", name)
        self.assertEqual((found.out, found.err), ("one\nthree\n", "two\n"))

    def test_following_logs_ends_when_the_container_exits(self):
        name = self.service(command=("sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.3; done"))
        found = self.docker("logs", "-f", name)
        self.assertEqual(found.out.split(), ["1", "2", "3", "4", "5"])

    def test_the_last_lines_of_logs_alone(self):
        name = self.name()
        self.docker("run", "--name", name, "busybox", "seq", "1", "100")
        self.assertEqual(self.docker("logs", "--tail", "3", name).out.split(), ["98", "99", "100"])

    def test_logs_since_a_time_and_with_times(self):
        name = self.service(command=("sh", "-c", "echo early; sleep 1.5; echo late; sleep 600"))
        stamped = eventually("late", lambda: [x for x in self.docker("logs", "-t", name).out.splitlines()
                                              if x.endswith(" late")])[0]
        self.assertEqual(self.docker("logs", "--since", stamped.split()[0], name).out, "late\n")


class Exec(Case):
    def test_exec_runs_in_the_container_and_gives_its_exit_code(self):
        name = self.service("-h", "inside")
        self.assertEqual(self.docker("exec", name, "hostname").line, "inside")
        self.docker("exec", name, "sh", "-c", "exit 42", expect=42)
        # Which of the two depends on the runtime's wording, which differs between engines.
        self.assertIn(self.docker("exec", name, "/no/such/program", expect=None).code, (126, 127))

    def test_exec_takes_input_environment_user_and_folder(self):
        name = self.service()
        found = self.docker("exec", "-i", "-e", "A=b", "-u", "65534", "-w", "/var", name, "sh", "-c",
                            "cat; echo $A; id -u; pwd", input="in\n")
        self.assertEqual(found.out.split(), ["in", "b", "65534", "/var"])

    def test_exec_in_the_background_goes_on_alone(self):
        name = self.service()
        self.docker("exec", "-d", name, "touch", "/made")
        eventually("the file", lambda: self.docker("exec", name, "ls", "/made", expect=None).code == 0)

    def test_exec_in_a_container_that_does_not_run_is_refused(self):
        name = self.name()
        self.docker("create", "--name", name, "busybox", "true")
        self.assertIn("is not running", self.docker("exec", name, "true", expect=1).err)


class Files(Case):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_a_file_is_copied_in_and_out(self):
        name, data = self.service(), os.urandom(300_000)
        (self.folder / "in").write_bytes(data)
        self.docker("cp", self.folder / "in", f"{name}:/var/there")
        self.docker("cp", f"{name}:/var/there", self.folder / "out")
        self.assertEqual((self.folder / "out").read_bytes(), data)

    def test_a_folder_is_copied_in_and_out_with_its_modes(self):
        name, source = self.service(), self.folder / "tree"
        (source / "deep" / "deeper").mkdir(parents=True)
        (source / "deep" / "run").write_text("#!/bin/sh\n")
        (source / "deep" / "run").chmod(0o750)
        (source / "deep" / "deeper" / "x").write_text("x")
        self.docker("cp", source, f"{name}:/var/")
        self.assertEqual(self.docker("exec", name, "stat", "-c", "%a", "/var/tree/deep/run").line, "750")
        self.docker("cp", f"{name}:/var/tree", self.folder / "back")
        self.assertEqual((self.folder / "back" / "deep" / "deeper" / "x").read_text(), "x")
        self.assertEqual((self.folder / "back" / "deep" / "run").stat().st_mode & 0o777, 0o750)

    def test_an_archive_is_copied_in_from_standard_input_and_out_to_standard_output(self):
        name, archive = self.service(), io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            member = tarfile.TarInfo("said")
            member.size = 5
            tar.addfile(member, io.BytesIO(b"hello"))
        self.docker("cp", "-", f"{name}:/var", input=archive.getvalue(), text=False)
        found = self.docker("cp", f"{name}:/var/said", "-", text=False)
        with tarfile.open(fileobj=io.BytesIO(found.out)) as tar:
            self.assertEqual(tar.extractfile("said").read(), b"hello")

    def test_copying_what_is_not_there_is_an_error(self):
        name = self.service()
        found = self.docker("cp", f"{name}:/no/such", self.folder / "x", expect=1)
        self.assertRegex(found.err, "(?i)could not find the file|no such")

    def test_diff_shows_what_was_changed(self):
        name = self.service()
        self.docker("exec", name, "sh", "-c", "echo x >/var/new; rm /etc/group")
        self.assertEqual(set(self.docker("diff", name).out.split("\n")) - {""},
                         {"A /var/new", "C /var", "C /etc", "D /etc/group"})

    def test_export_gives_the_containers_files(self):
        name = self.service()
        self.docker("exec", name, "sh", "-c", "echo mark >/var/mark")
        found = self.docker("export", name, text=False)
        with tarfile.open(fileobj=io.BytesIO(found.out)) as tar:
            self.assertEqual(tar.extractfile("var/mark").read(), b"mark\n")


class Life(Case):
    def test_create_start_wait_and_remove(self):
        name = self.name()
        ident = self.docker("create", "--name", name, "busybox", "sh", "-c", "exit 6").line
        self.assertRegex(ident, "^[0-9a-f]{64}$")
        self.assertEqual(self.state(name), "created")
        self.assertEqual(self.docker("start", name).line, name)
        self.assertEqual(self.docker("wait", ident[:12]).line, "6")
        self.assertEqual(self.docker("rm", name).line, name)
        self.assertIn("No such", self.docker("inspect", name, expect=1).err)

    def test_waiting_clients_are_told_at_the_exit(self):
        name = self.service(command=("sh", "-c", "while [ ! -e /go ]; do sleep 0.05; done; exit 8"))
        waiting = self.start("wait", name)
        self.docker("exec", name, "touch", "/go")
        self.assertEqual(waiting.communicate(timeout=30)[0], b"8\n")

    def test_stop_asks_first_and_kills_after_its_time(self):
        polite = self.service(command=("sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done"))
        self.docker("exec", polite, "true")
        self.docker("stop", polite)
        self.assertEqual(self.inspect(polite, "{{.State.ExitCode}}"), "3")
        deaf = self.service(command=("sleep", "600"))
        began = time.monotonic()
        self.docker("stop", "-t", "1", deaf)
        self.assertGreater(time.monotonic() - began, 0.9)
        self.assertEqual(self.inspect(deaf, "{{.State.ExitCode}}"), "137")

    def test_kill_sends_the_signal_that_is_asked_for(self):
        name = self.service(command=("sh", "-c", "trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done"))
        eventually("ready", lambda: "ready" in self.docker("logs", name).out)
        self.docker("kill", "-s", "USR1", name)
        eventually("the signal", lambda: "usr1" in self.docker("logs", name).out)
        self.assertEqual(self.state(name), "running")
        self.docker("kill", name)
        self.assertEqual(self.docker("wait", name).line, "137")
        self.assertIn("is not running", self.docker("kill", name, expect=1).err)

    def test_restart_runs_it_once_more(self):
        name = self.service(command=("sh", "-c", "echo begun; exec sleep 600"))
        first = self.inspect(name, "{{.State.StartedAt}}")
        self.docker("restart", "-t", "0", name)
        self.assertNotEqual(self.inspect(name, "{{.State.StartedAt}}"), first)
        eventually("the second start", lambda: self.docker("logs", name).out == "begun\nbegun\n")

    def test_a_stopped_container_starts_again_with_its_files(self):
        name = self.service(command=("sh", "-c", "echo x >>/var/starts; exec sleep 600"))
        self.docker("stop", "-t", "0", name)
        self.docker("start", name)
        eventually("both starts", lambda: self.docker("exec", name, "wc", "-l", "/var/starts").line.startswith("2"))

    def test_pause_and_unpause(self):
        name = self.service()
        self.docker("pause", name)
        self.assertEqual(self.state(name), "paused")
        self.assertIn("(Paused)", self.docker("ps", "--filter", f"name={name}").out)
        self.docker("unpause", name)
        self.assertEqual(self.state(name), "running")

    def test_rename_keeps_the_container_and_frees_the_name(self):
        old, new = self.service(), self.name()
        ident = self.inspect(old, "{{.Id}}")
        self.docker("rename", old, new)
        self.assertEqual(self.inspect(new, "{{.Id}} {{.Name}}"), f"{ident} /{new}")
        self.assertNotIn(old, self.names("-a"))
        self.docker("inspect", old, expect=1)
        self.docker("create", "--name", old, "busybox")

    def test_update_changes_the_limits(self):
        name = self.service("--memory", "64m", "--memory-swap", "64m")
        self.docker("update", "--memory", "96m", "--memory-swap", "96m", name)
        self.assertEqual(self.inspect(name, "{{.HostConfig.Memory}}"), str(96 << 20))

    def test_top_and_stats_show_the_process_and_its_use(self):
        name = self.service(command=("sleep", "543"))
        self.assertIn("sleep 543", self.docker("top", name).out)
        found = json_lines(self.docker("stats", "--no-stream", "--format", "{{json .}}", name).out)
        self.assertEqual([s["Name"] for s in found], [name])
        self.assertRegex(found[0]["CPUPerc"], r"^[0-9.]+%$")

    def test_following_stats_keeps_coming(self):
        name = self.service()
        process = self.start("stats", "--format", "{{.Name}}", name)
        seen = b""
        while seen.count(name.encode()) < 2:
            data = os.read(process.stdout.fileno(), 4096)
            self.assertTrue(data, "stats ended")
            seen += data

    def test_a_running_container_is_not_removed_without_force(self):
        name = self.service()
        # The second is said since Docker 25, and names the container.
        self.assertRegex(self.docker("rm", name, expect=1).err,
                         f'You cannot remove a running container|cannot remove container "/{name}": container is running')
        self.docker("rm", "-f", name)
        self.assertNotIn(name, self.names("-a"))

    def test_inspect_shows_what_was_asked_for(self):
        name = self.service("-e", "A=b", "--label", "x=y", "--memory", "64m", "-h", "host-name")
        found = self.docker("inspect", "--format", "{{.Name}}|{{.Config.Image}}|{{index .Config.Labels \"x\"}}|"
                            "{{.HostConfig.Memory}}|{{.Config.Hostname}}|{{.State.Running}}|{{json .Config.Cmd}}", name)
        self.assertEqual(found.line, f"/{name}|busybox|y|{64 << 20}|host-name|true|[\"sleep\",\"600\"]")

    def test_an_unknown_container_is_an_error_for_every_verb(self):
        ghost = f"{self.tag}-ghost"
        for verb in (["start"], ["stop"], ["kill"], ["rm"], ["logs"], ["inspect"], ["top"], ["wait"], ["pause"],
                     ["diff"], ["port"], ["restart"], ["attach"]):
            with self.subTest(verb=verb[0]):
                self.assertRegex(self.docker(*verb, ghost, expect=1).err, "(?i)no such")
