"""Terminals, attach and detach."""

import subprocess

from fixture import Case, eventually

DETACH = "\x10\x11"  # ctrl-p ctrl-q


class Terminals(Case):
    def test_a_terminal_has_the_size_of_the_users_and_follows_it(self):
        terminal = self.terminal("run", "--rm", "-it", "busybox", "sh", rows=31, columns=97)
        terminal.read_until(r"# ")
        # The client tells of a size by a call of its own: it arrives a little later than the keys.
        terminal.send("until [ \"$(stty size)\" = '31 97' ]; do sleep 0.1; done; echo fi''rst\n")
        terminal.read_until(r"first")
        terminal.resize(40, 120)
        terminal.send("until [ \"$(stty size)\" = '40 120' ]; do sleep 0.1; done; echo si''zed\n")
        terminal.read_until(r"sized")
        terminal.send("exit 5\n")
        self.assertEqual(terminal.wait(), 5)

    def test_exec_has_a_terminal_of_its_own(self):
        name = self.service()
        terminal = self.terminal("exec", "-it", name, "sh", rows=22, columns=66)
        terminal.read_until(r"# ")
        terminal.send("until [ \"$(stty size)\" = '22 66' ]; do sleep 0.1; done; echo si''zed\n")
        terminal.read_until(r"sized")
        terminal.resize(33, 99)
        terminal.send("until [ \"$(stty size)\" = '33 99' ]; do sleep 0.1; done; echo gro''wn\n")
        terminal.read_until(r"grown")
        terminal.send("exit 3\n")
        self.assertEqual(terminal.wait(), 3)

    def test_the_interrupt_key_reaches_the_command(self):
        terminal = self.terminal("run", "--rm", "-it", "busybox", "sh", "-c",
                                 "trap 'echo caught; exit 9' INT; echo rea''dy; while :; do sleep 0.1; done")
        terminal.read_until(r"ready")
        terminal.send("\x03")
        terminal.read_until(r"caught")
        self.assertEqual(terminal.wait(), 9)

    def test_detaching_leaves_the_container_running_and_attaching_comes_back(self):
        name = self.name()
        terminal = self.terminal("run", "-it", "--name", name, "busybox", "sh")
        terminal.read_until(r"# ")
        terminal.send(DETACH)
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(self.state(name), "running")
        again = self.terminal("attach", name)
        again.send("\necho we''lcome\n")
        again.read_until(r"welcome")
        again.send("exit 4\n")
        self.assertEqual(again.wait(), 4)

    def test_attach_without_a_terminal_carries_input_and_output(self):
        name = self.name()
        self.docker("create", "-i", "--name", name, "busybox", "sh", "-c", "read a; echo got $a")
        process = self.start("start", "-ai", name)
        out, _ = process.communicate(b"word\n", timeout=60)
        self.assertEqual(out, b"got word\n")

    def test_two_clients_attached_to_one_container_both_see_its_output(self):
        name = self.name()
        self.docker("run", "-d", "-i", "--name", name, "busybox", "sh", "-c",
                    "while [ ! -e /go ]; do sleep 0.1; done; echo together; read x")
        clients = [self.start("attach", "--no-stdin", name, stdin=subprocess.DEVNULL) for _ in range(2)]
        # An attach says nothing when it is there, so the output is given again until both have it.
        self.docker("exec", name, "sh", "-c",
                    "touch /go; for i in 1 2 3 4 5 6 7 8 9 10; do echo together >/proc/1/fd/1; sleep 0.2; done")
        for client in clients:
            self.assertEqual(client.stdout.readline(), b"together\n")
        self.docker("kill", name)
        for client in clients:
            self.assertEqual(client.wait(30), 137)

    def test_attach_to_a_stopped_container_says_so(self):
        name = self.name()
        self.docker("run", "--name", name, "busybox", "true")
        eventually("it has exited", lambda: self.state(name) == "exited")
        self.assertIn("cannot attach to a stopped container", self.docker("attach", name, expect=1).err.lower())
