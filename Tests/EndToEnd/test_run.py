"""`docker run`: exit codes and streams."""

import hashlib
import os
import subprocess

from fixture import PLAIN, Case, eventually


class ExitCodes(Case):
    def test_the_exit_code_of_the_command_is_that_of_docker_run(self):
        for code in (0, 1, 42):
            with self.subTest(code=code):
                self.docker("run", "--rm", "busybox", "sh", "-c", f"exit {code}", expect=code)

    def test_a_bad_option_is_125(self):
        found = self.docker("run", "--rm", "--memory", "1k", "busybox", "true", expect=125)
        self.assertIn("memory", found.err.lower())

    def test_an_image_that_is_nowhere_is_125(self):
        self.docker("run", "--rm", "nowhere.invalid/nothing:1", expect=125)

    def test_a_command_that_cannot_be_run_is_126(self):
        self.docker("run", "--rm", "busybox", "/etc", expect=126)

    def test_a_command_that_is_not_there_is_127(self):
        self.docker("run", "--rm", "busybox", "/no/such/program", expect=127)

    def test_a_killed_container_is_137(self):
        name = self.name()
        process = self.start("run", "--name", name, "busybox", "sleep", "600")
        eventually("it runs", lambda: name in self.names())
        self.docker("kill", name)
        self.assertEqual(process.wait(30), 137)

    def test_a_signal_to_the_client_reaches_the_container(self):
        name = self.name()
        process = self.start("run", "--name", name, "busybox", "sh", "-c",
                             "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done")
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.terminate()
        self.assertEqual(process.wait(30), 7)


class Streams(Case):
    def test_standard_output_and_error_stay_apart(self):
        found = self.docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
        self.assertEqual((found.out, found.err), ("out\n", "err\n"))

    def test_standard_input_reaches_the_container_to_its_end(self):
        self.assertEqual(self.docker("run", "--rm", "-i", "busybox", "cat", input="hi\n").out, "hi\n")

    def test_output_that_follows_the_end_of_input_still_comes(self):
        found = self.docker("run", "--rm", "-i", "busybox", "sh", "-c", "wc -c; echo after", input="12345")
        self.assertEqual(found.out.split(), ["5", "after"])

    def test_an_input_that_is_closed_at_once_ends_the_container(self):
        self.assertEqual(self.docker("run", "--rm", "-i", "busybox", "cat", input="").out, "")

    def test_what_is_sent_arrives_intact_at_the_container_to_the_last_byte(self):
        for size in (1, 1_000_000, 20_000_000):
            for policy in ("local", "remote"):
                with self.subTest(size=size, policy=policy):
                    data = os.urandom(size)
                    found = self.docker("run", "--rm", "-i", "--label", f"lighter.policy={policy}", "busybox",
                                        "sh", "-c", "tee /tmp/got | wc -c; sha256sum /tmp/got", input=data, text=False,
                                        timeout=120)
                    count, digest = found.out.decode().split()[:2]
                    self.assertEqual((int(count), digest), (size, hashlib.sha256(data).hexdigest()))

    def test_20_MB_come_back_intact(self):
        data = os.urandom(20_000_000)
        found = self.docker("run", "--rm", "-i", "busybox", "cat", input=data, text=False, timeout=120)
        self.assertEqual(len(found.out), len(data))
        self.assertEqual(hashlib.sha256(found.out).digest(), hashlib.sha256(data).digest())

    def test_a_slow_reader_holds_the_container_back_and_loses_nothing(self):
        name = self.name()
        process = self.start("run", "--name", name, "--log-driver", "none", "busybox", "sh", "-c",
                             "head -c 8000000 /dev/zero; echo done >&2")
        self.assertEqual(process.stdout.read(1), b"\0")
        eventually("it runs", lambda: self.state(name) in ("running", "exited"))
        self.assertEqual(len(process.stdout.read()), 7_999_999)
        self.assertEqual(process.wait(30), 0)

    def test_a_client_that_is_killed_in_the_middle_leaves_the_container_running(self):
        name = self.name()
        process = self.start("run", "-i", "--name", name, "--log-driver", "none", "busybox", "sh", "-c",
                             "while :; do echo line; done")
        self.assertEqual(process.stdout.readline(), b"line\n")
        process.kill()
        process.wait()
        self.assertEqual(self.state(name), "running")
        self.docker("rm", "-f", name)
        self.assertNotIn(name, self.names("-a"))

    def test_a_container_is_removed_when_its_client_asked_for_it(self):
        name = self.name()
        self.docker("run", "--rm", "--name", name, "busybox", "true")
        eventually("it is gone", lambda: name not in self.names("-a"))
        if not PLAIN:
            self.assertEqual(self.whereabouts(name), set())

    def test_environment_working_folder_user_and_host_name_are_as_asked(self):
        found = self.docker("run", "--rm", "-e", "A=b c", "-w", "/var", "-u", "65534", "-h", "ship", "busybox",
                            "sh", "-c", 'echo "$A"; pwd; id -u; hostname')
        self.assertEqual(found.out.splitlines(), ["b c", "/var", "65534", "ship"])

    def test_50_containers_at_once_each_give_their_own_answer(self):
        running = []
        for n in range(50):
            running.append(self.start("run", "--rm", "busybox", "sh", "-c", f"echo number {n}; exit {n % 3}",
                                      stdin=subprocess.DEVNULL))
        for n, process in enumerate(running):
            out, err = process.communicate(timeout=240)
            self.assertEqual((out.decode(), process.returncode), (f"number {n}\n", n % 3), err.decode())
