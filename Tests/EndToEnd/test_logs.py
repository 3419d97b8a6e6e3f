"""`docker logs`: drivers, times, parts and details."""

import re
import subprocess

from fixture import Case, eventually


class Logs(Case):
    def ended(self, script, *options):
        """A container that has run this shell script."""
        name = self.name()
        self.docker("run", "--name", name, *options, "busybox", "sh", "-c", script)
        return name

    def test_each_driver_that_keeps_logs_gives_them_back(self):
        for driver in ("json-file", "local"):
            with self.subTest(driver=driver):
                name = self.ended("echo out; echo err >&2", "--log-driver", driver, "--log-opt", "max-size=1m")
                found = self.docker("logs", name)
                self.assertEqual((found.out, found.err), ("out\n", "err\n"))
                self.assertEqual(self.inspect(name, "{{.HostConfig.LogConfig.Type}} {{.HostConfig.LogConfig.Config}}"),
                                 f"{driver} map[max-size:1m]")

    def test_a_driver_that_keeps_none_says_so(self):
        name = self.ended("echo out", "--log-driver", "none")
        self.assertIn("configured logging driver does not support reading", self.docker("logs", name, expect=1).err)

    def test_options_that_a_driver_does_not_know_are_refused(self):
        found = self.docker("run", "--rm", "--log-opt", "colour=red", "busybox", "true", expect=125)
        self.assertIn("unknown log opt 'colour' for json-file log driver", found.err)

    def test_times_are_shown_to_the_nanosecond(self):
        name = self.ended("echo a; echo b")
        for line, letter in zip(self.docker("logs", "--timestamps", name).out.splitlines(), "ab", strict=True):
            self.assertRegex(line, rf"^\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{9}}Z {letter}$")

    def test_lines_between_two_times_are_shown_alone(self):
        name = self.ended("for i in 1 2 3 4; do echo $i; sleep 0.1; done")
        times = [x.split()[0] for x in self.docker("logs", "-t", name).out.splitlines()]
        self.assertEqual(self.docker("logs", "--since", times[2], name).out, "3\n4\n")
        self.assertEqual(self.docker("logs", "--until", times[1], name).out, "1\n2\n")
        self.assertEqual(self.docker("logs", "--since", times[1], "--until", times[2], name).out, "2\n3\n")
        self.assertEqual(self.docker("logs", "--since", "1h", name).out, "1\n2\n3\n4\n")

    def test_the_end_of_logs_is_counted_over_both_streams(self):
        name = self.ended("echo 1; echo 2 >&2; sleep 0.1; echo 3; sleep 0.1; echo 4 >&2")
        found = self.docker("logs", "--tail", "2", name)
        self.assertEqual((found.out, found.err), ("3\n", "4\n"))
        self.assertEqual(self.docker("logs", "--tail", "0", name).out, "")
        self.assertEqual(self.docker("logs", "--tail", "all", name).out, "1\n3\n")

    def test_details_are_the_labels_and_variables_that_were_named(self):
        name = self.ended("echo x", "--log-opt", "labels=ship", "--log-opt", "env=PORT", "--label", "ship=Argo", "-e",
                          "PORT=Iolcos")
        self.assertEqual(set(re.split("[ ,]", self.docker("logs", "--details", name).line)),
                         {"ship=Argo", "PORT=Iolcos", "x"})

    def test_a_long_line_is_kept_whole(self):
        name = self.ended("head -c 40000 /dev/zero | tr '\\0' x; echo; echo end")
        self.assertEqual(self.docker("logs", name).out, "x" * 40000 + "\nend\n")

    def test_a_last_line_without_an_end_is_kept(self):
        self.assertEqual(self.docker("logs", self.ended("printf unfinished")).out, "unfinished")

    def test_bytes_that_are_no_text_are_kept(self):
        name = self.ended("printf '\\001\\033[1m\\t\\000\\n'")
        self.assertEqual(self.docker("logs", name, text=False).out, b"\x01\x1b[1m\t\x00\n")

    def test_a_terminals_output_is_logged_as_one_stream(self):
        name = self.ended("echo out; echo err >&2", "-t")
        found = self.docker("logs", name, text=False)
        self.assertEqual((found.out, found.err), (b"out\r\nerr\r\n", b""))

    def test_logs_of_every_start_are_kept(self):
        name = self.ended("echo again")
        self.docker("start", "-a", name)
        self.assertEqual(self.docker("logs", name).out, "again\nagain\n")

    def test_old_logs_are_given_up_where_a_size_was_set(self):
        name = self.ended("seq 1 3000", "--log-opt", "max-size=10k", "--log-opt", "max-file=2")
        found = self.docker("logs", name).out.split()
        self.assertEqual(found[-1], "3000")
        self.assertNotIn("1", found)

    def test_following_from_the_end_shows_only_what_is_new(self):
        name = self.service(command=("sh", "-c", "echo old; until [ -e /go ]; do echo on; sleep 0.1; done; echo new"))
        eventually("the first line", lambda: "old" in self.docker("logs", name).out)
        process = self.start("logs", "-f", "--tail", "0", name, stdin=subprocess.DEVNULL)
        self.assertEqual(process.stdout.readline(), b"on\n")
        self.docker("exec", name, "touch", "/go")
        found = process.communicate(timeout=30)[0].split()
        self.assertEqual((found[-1], set(found[:-1]) - {b"on"}), (b"new", set()))

    def test_a_container_that_never_ran_has_no_logs(self):
        name = self.name()
        self.docker("create", "--name", name, "busybox", "echo", "x")
        found = self.docker("logs", name)
        self.assertEqual((found.out, found.err), ("", ""))

    def test_what_exec_prints_is_not_logged(self):
        name = self.service(command=("sh", "-c", "echo own; sleep 600"))
        self.docker("exec", name, "echo", "foreign")
        self.assertEqual(eventually("its own", lambda: self.docker("logs", name).out), "own\n")
