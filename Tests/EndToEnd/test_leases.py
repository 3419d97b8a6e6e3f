"""Exclusive work runs only while its node has the gateway's word, whatever has become of the node's programs."""

import os
import signal
import time

from fixture import Case, eventually, remote_only

# Nowhere else: what is shown here is what its own node does.
EXCLUSIVE = ("--label", "lighter.target=cloud1")


@remote_only
class Leases(Case):
    def setUp(self):
        super().setUp()
        self.mended()

    def exclusive(self, *args):
        """An exclusive container away that restarts whenever its engine may; with the process that it is."""
        name = self.service(*EXCLUSIVE, "--restart", "always", *args)
        self.assert_at("cloud1", name)
        return name, self.there(name, "{{.State.Pid}}")

    def there(self, name, template):
        return self.docker("inspect", "-f", template, f"{name}.edge1", at="cloud1", engine=True).line

    @staticmethod
    def lives(pid):
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    def assert_ends(self, pid, seconds=8):
        """Within what its lease may have left, and the time in which a busy machine looks."""
        eventually("it is stopped", lambda: not self.lives(pid), seconds)

    def assert_stays_down(self, name):
        end = time.monotonic() + 2
        while time.monotonic() < end:
            self.assertNotEqual(self.there(name, "{{.State.Status}}"), "running")
            time.sleep(0.2)

    def assert_runs_again(self, name, former):
        def runs():
            # The engine may not have noticed the end yet.
            status, pid = self.there(name, "{{.State.Status}} {{.State.Pid}}").split()
            return status == "running" and pid != former and self.lives(pid)

        eventually("it runs again", runs, 20)

    def test_it_runs_as_all_other_work_does_while_the_gateway_answers(self):
        name, pid = self.exclusive("--read-only")
        self.assertEqual(self.docker("exec", name, "echo", "yes").line, "yes")
        self.assertEqual(self.docker("diff", name).out, "")
        os.kill(int(pid), signal.SIGKILL)
        self.assert_runs_again(name, pid)
        self.docker("restart", "-t", "0", name)
        self.docker("stop", "-t", "0", name)
        self.assertEqual(self.there(name, "{{.State.Status}}"), "exited")
        self.docker("start", name)
        self.assertEqual(self.docker("exec", name, "echo", "yes").line, "yes")

    def test_neither_gateway_nor_origin_is_heard_and_it_ends_until_they_are(self):
        name, pid = self.exclusive()
        self.fleet("daemon", "edge1", "kill")
        self.fleet("gateway", "kill")
        self.assert_ends(pid)
        self.assert_stays_down(name)
        self.fleet("gateway", "start")
        self.fleet("daemon", "edge1", "start")
        self.assert_runs_again(name, pid)
        self.assertEqual(self.docker("exec", name, "echo", "yes").line, "yes")

    def test_its_daemon_starts_anew_and_it_does_not_notice(self):
        name, pid = self.exclusive()
        self.fleet("daemon", "cloud1", "kill")
        self.fleet("daemon", "cloud1", "start")
        time.sleep(3)  # longer than the lease that the daemon before it had
        self.assertTrue(self.lives(pid))
        self.assertEqual(self.docker("exec", name, "echo", "yes").line, "yes")

    def test_its_daemon_dies_and_it_ends_without_it(self):
        name, pid = self.exclusive()
        self.fleet("daemon", "cloud1", "kill")
        self.assert_ends(pid)
        self.assert_stays_down(name)
        self.fleet("daemon", "cloud1", "start")
        self.assert_runs_again(name, pid)

    def test_its_daemon_hangs_and_it_ends_without_it(self):
        name, pid = self.exclusive()
        daemon = int(self.fleet("pid", "cloud1").line)
        os.kill(daemon, signal.SIGSTOP)
        try:
            self.assert_ends(pid)
            self.assert_stays_down(name)
        finally:
            os.kill(daemon, signal.SIGCONT)
        self.assert_runs_again(name, pid)

    def test_its_daemon_dies_while_it_is_paused_and_it_ends_all_the_same(self):
        name, pid = self.exclusive()
        self.docker("pause", name)
        self.fleet("daemon", "cloud1", "kill")
        self.assert_ends(pid)
        self.fleet("daemon", "cloud1", "start")
        self.assert_runs_again(name, pid)

    def test_its_engine_hangs_and_its_daemon_dies_and_it_ends_all_the_same(self):
        name, pid = self.exclusive()
        self.fleet("pause", "cloud1")
        try:
            self.fleet("daemon", "cloud1", "kill")
            self.assert_ends(pid)
        finally:
            self.fleet("resume", "cloud1")
        self.assert_stays_down(name)
        self.fleet("daemon", "cloud1", "start")
        self.assert_runs_again(name, pid)

    def test_the_machine_loses_power_and_its_engine_alone_does_not_start_it(self):
        name, pid = self.exclusive()
        self.fleet("kill", "cloud1")
        self.assertFalse(self.lives(pid))
        self.fleet("start", "cloud1")
        self.assert_runs_again(name, pid)
