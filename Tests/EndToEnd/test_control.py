"""Starting, attaching, signals, waiting and ending: combinations that scripts rely on."""

import json
import subprocess
import time

from fixture import Case, eventually

OBEDIENT = ("sh", "-c", "trap 'exit 9' USR1; trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done")


class Starts(Case):
    def created(self, *command, options=()):
        name = self.name()
        self.docker("create", "--name", name, *options, "busybox", *command)
        return name

    def test_an_attached_start_shows_the_output_and_gives_the_exit_code(self):
        name = self.created("sh", "-c", "echo out; echo err >&2; exit 6")
        found = self.docker("start", "-a", name, expect=6)
        self.assertEqual((found.out, found.err), ("out\n", "err\n"))
        self.docker("start", "-a", name, expect=6)

    def test_several_are_started_at_once_and_those_that_cannot_are_said(self):
        one, two, ghost = self.created("sleep", "600"), self.created("sleep", "600"), f"{self.tag}-ghost"
        found = self.docker("start", one, ghost, two, expect=1)
        self.assertEqual(found.out.split(), [one, two])
        self.assertIn(f"No such container: {ghost}", found.err)
        self.assertEqual(self.names("--filter", f"name={self.tag}"), {one, two})

    def test_starting_what_runs_changes_nothing(self):
        name = self.service()
        before = self.inspect(name, "{{.State.Pid}} {{.State.StartedAt}}")
        self.assertEqual(self.docker("start", name).line, name)
        self.assertEqual(self.inspect(name, "{{.State.Pid}} {{.State.StartedAt}}"), before)

    def test_a_container_that_removes_itself_does_so_also_when_it_was_created_first(self):
        name = self.created("true", options=("--rm",))
        self.docker("start", "-a", name)
        eventually("it is gone", lambda: name not in self.names("-a"))

    def test_only_the_streams_that_were_asked_for_are_attached(self):
        found = self.docker("run", "--rm", "-a", "stderr", "busybox", "sh", "-c", "echo out; echo err >&2")
        self.assertEqual((found.out, found.err), ("", "err\n"))

    def test_a_run_in_the_background_prints_the_id_alone(self):
        name = self.name()
        self.assertEqual(self.docker("run", "-d", "--name", name, "busybox", "true").line,
                         self.inspect(name, "{{.Id}}"))

    def test_a_command_that_cannot_be_run_leaves_a_created_container(self):
        name = self.created("/no/such/program")
        found = self.docker("start", name, expect=1)
        self.assertRegex(found.err, "no such file or directory")
        self.assertEqual(self.inspect(name, "{{.State.Status}} {{.State.ExitCode}}"), "created 127")

    def test_input_is_open_again_at_each_attach(self):
        name = self.service("-i", command=("sh", "-c", "read a; echo $a; read b; echo $b"))
        first = self.start("attach", name)
        first.stdin.write(b"one\n")
        first.stdin.flush()
        self.assertEqual(first.stdout.readline(), b"one\n")
        first.kill()
        first.wait()
        self.docker("attach", name, input="two\n")
        self.assertEqual(self.docker("logs", name).out, "one\ntwo\n")

    def test_a_key_sequence_of_the_users_detaches(self):
        name = self.name()
        terminal = self.terminal("run", "-it", "--detach-keys", "ctrl-x,x", "--name", name, "busybox", "sh")
        terminal.read_until(r"# ")
        terminal.send("\x18x")
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(self.state(name), "running")

    def test_a_terminal_is_there_only_if_it_was_asked_for(self):
        self.assertEqual(self.docker("run", "--rm", "-t", "busybox", "tty", text=False).out, b"/dev/pts/0\r\n")
        self.assertEqual(self.docker("run", "--rm", "busybox", "tty", expect=1).out, "not a tty\n")

    def test_a_terminal_needs_one_at_the_client(self):
        found = self.docker("run", "--rm", "-it", "busybox", "true", input="", expect=1)
        self.assertIn("the input device is not a TTY", found.err)


class Signals(Case):
    def ready(self, *options, command=OBEDIENT):
        name = self.service(*options, command=command)
        eventually("ready", lambda: "ready" in self.docker("logs", name).out)
        return name

    def code(self, name):
        return self.inspect(name, "{{.State.ExitCode}}")

    def test_a_signal_has_a_name_or_a_number(self):
        for signal in ("USR1", "SIGUSR1", "10"):
            with self.subTest(signal=signal):
                name = self.ready()
                self.docker("kill", "--signal", signal, name)
                self.assertEqual(self.docker("wait", name).line, "9")

    def test_a_container_has_a_signal_to_stop_by(self):
        name = self.ready("--stop-signal", "USR1")
        self.docker("stop", name)
        self.assertEqual(self.code(name), "9")

    def test_a_container_has_a_time_to_stop_in(self):
        name = self.service("--stop-timeout", "1")
        began = time.monotonic()
        self.docker("stop", name)
        self.assertTrue(0.9 < time.monotonic() - began < 8)
        self.assertEqual(self.code(name), "137")

    def test_several_are_stopped_and_killed_at_once(self):
        names = [self.ready(), self.ready()]
        self.assertEqual(self.docker("stop", *names).out.split(), names)
        self.assertEqual([self.code(x) for x in names], ["5", "5"])
        self.docker("start", *names)
        self.assertEqual(self.docker("kill", *names).out.split(), names)
        self.assertEqual([self.code(x) for x in names], ["137", "137"])

    def test_stopping_what_does_not_run_is_no_error(self):
        name = self.name()
        self.docker("create", "--name", name, "busybox")
        self.assertEqual(self.docker("stop", name).line, name)
        self.assertEqual(self.state(name), "created")

    def test_a_process_that_dies_of_a_signal_says_which(self):
        for signal, code in (("TERM", 143), ("SEGV", 139), ("KILL", 137)):
            with self.subTest(signal=signal):
                self.docker("run", "--rm", "busybox", "sh", "-c", f"sh -c 'kill -{signal} $$'; exit $?", expect=code)

    def test_an_unknown_signal_is_refused(self):
        name = self.service()
        self.assertIn("nvalid signal: BOO", self.docker("kill", "-s", "BOO", name, expect=1).err)
        self.assertIn("nvalid signal: BOO", self.docker("create", "--stop-signal", "BOO", "busybox", expect=1).err)

    def test_a_paused_container_refuses_commands_until_it_goes_on(self):
        name = self.service()
        self.docker("pause", name)
        self.assertIn("is already paused", self.docker("pause", name, expect=1).err)
        self.assertIn("is paused, unpause the container before exec", self.docker("exec", name, "true", expect=1).err)
        self.docker("unpause", name)
        self.assertIn("is not paused", self.docker("unpause", name, expect=1).err)
        self.docker("exec", name, "true")

    def test_a_paused_container_stands_still(self):
        name = self.service(command=("sh", "-c", "while :; do echo x; sleep 0.05; done"))
        self.docker("pause", name)
        before = self.docker("logs", name).out
        time.sleep(0.3)  # in which a running one would have written
        self.assertEqual(self.docker("logs", name).out, before)


class Waits(Case):
    def test_waiting_for_several_gives_each_code_in_the_order_asked(self):
        names = [self.service(command=("sh", "-c", f"sleep 0.{9 - code}; exit {code}")) for code in (1, 2, 3)]
        self.assertEqual(self.docker("wait", *names).out.split(), ["1", "2", "3"])

    def test_waiting_for_what_has_ended_answers_at_once(self):
        name = self.name()
        self.docker("run", "--name", name, "busybox", "sh", "-c", "exit 4", expect=4)
        self.assertEqual(self.docker("wait", name).line, "4")

    def test_waiting_ends_when_the_container_is_removed(self):
        name = self.service()
        connection = self.connection()
        connection.request("POST", f"/v1.41/containers/{name}/wait")
        answer = connection.getresponse()  # its head, which comes at once and says that the engine waits
        self.docker("rm", "-f", name)
        self.assertEqual(json.loads(answer.read())["StatusCode"], 137)

    def test_following_logs_and_attached_clients_end_with_the_container(self):
        name = self.service(command=("sh", "-c", "while :; do echo here; sleep 0.1; done"))
        clients = [self.start(*verb, name, stdin=subprocess.DEVNULL) for verb in (("logs", "-f"), ("attach",))]
        for client in clients:
            self.assertEqual(client.stdout.readline(), b"here\n")
        self.docker("kill", name)
        self.assertEqual([c.wait(30) for c in clients], [0, 137])

    def test_times_and_codes_are_shown_after_the_end(self):
        name = self.name()
        self.docker("run", "--name", name, "busybox", "sh", "-c", "sleep 0.2; exit 4", expect=4)
        self.assertEqual(self.inspect(name, "{{.State.Status}} {{.State.Running}} {{.State.Pid}} {{.State.ExitCode}}"),
                         "exited false 0 4")
        began, ended = self.inspect(name, "{{.State.StartedAt}} {{.State.FinishedAt}}").split()
        self.assertLess(began, ended)


class Execs(Case):
    def test_standard_streams_of_exec_stay_apart_and_its_input_ends(self):
        name = self.service()
        found = self.docker("exec", "-i", name, "sh", "-c", "wc -c; echo err >&2", input="12345")
        self.assertEqual((found.out.strip(), found.err), ("5", "err\n"))

    def test_a_large_output_of_exec_comes_whole(self):
        name = self.service()
        self.assertEqual(len(self.docker("exec", name, "head", "-c", "3000000", "/dev/zero", text=False).out),
                         3_000_000)

    def test_exec_takes_variables_from_a_file_and_a_group(self):
        name, file = self.service(), self.folder() / "env"
        file.write_text("A=b\n")
        self.assertEqual(self.docker("exec", "--env-file", file, "-u", "1234:4321", name, "sh", "-c",
                                     "echo $A; id -g").out, "b\n4321\n")

    def test_what_is_wrong_with_an_exec_is_said(self):
        name = self.service()
        # The engine says these on the stream of the command's output, some with its end and some with an error.
        found = self.docker("exec", "-u", "odysseus", name, "true", expect=126)
        self.assertIn("unable to find user odysseus: no matching entries in passwd file", found.out + found.err)
        found = self.docker("exec", "-w", "/no/such", name, "true", expect=None)
        self.assertIn(found.code, (126, 127))
        self.assertRegex(found.out + found.err, "chdir to cwd.*no such file or directory")
        self.assertIn("No such container: ghost-", self.docker("exec", "ghost-" + self.tag, "true", expect=1).err)

    def test_exec_ends_with_its_container(self):
        name = self.service()
        process = self.start("exec", name, "sleep", "599")
        eventually("it runs", lambda: "sleep 599" in self.docker("top", name).out)
        self.docker("kill", name)
        self.assertEqual(process.wait(30), 137)

    def test_ten_execs_at_once_each_give_their_own_answer(self):
        name = self.service()
        running = [self.start("exec", name, "sh", "-c", f"echo {n}; exit {n}") for n in range(10)]
        self.assertEqual([(p.communicate(timeout=60)[0], p.returncode) for p in running],
                         [(b"%d\n" % n, n) for n in range(10)])


class Views(Case):
    def test_top_takes_the_options_of_ps(self):
        name = self.service(command=("sleep", "765"))
        lines = self.docker("top", name, "-o", "pid,args").out.splitlines()
        self.assertEqual(lines[0].split(), ["PID", "COMMAND"])
        self.assertIn("sleep 765", lines[1])
        self.assertEqual(len(lines), 2)

    def test_top_of_what_does_not_run_is_refused(self):
        name = self.name()
        self.docker("create", "--name", name, "busybox")
        self.assertIn("is not running", self.docker("top", name, expect=1).err)

    def test_stats_of_several_show_their_limits(self):
        one, two = self.service("--memory", "32m"), self.service("--memory", "64m")
        found = self.docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", one, two).out
        self.assertRegex(found, rf"(?m)^{one} .* / 32MiB 1$")
        self.assertRegex(found, rf"(?m)^{two} .* / 64MiB 1$")

    def test_a_new_name_is_known_to_all_commands_at_once(self):
        name, new = self.service(), self.name()
        self.docker("rename", name, new)
        self.assertEqual(self.docker("exec", new, "echo", "yes").line, "yes")
        self.assertIn(new, self.names("--filter", f"name={new}"))
        self.assertEqual(self.docker("stop", "-t", "0", new).line, new)
        self.assertIn(f"No such container: {name}", self.docker("start", name, expect=1).err)

    def test_a_rename_that_cannot_be_is_refused(self):
        name = self.service()
        self.assertIn("Error when allocating new name: Invalid container name (/!!)",
                      self.docker("rename", name, "!!", expect=1).err)
        self.assertEqual(self.inspect(name, "{{.Name}}"), f"/{name}")
