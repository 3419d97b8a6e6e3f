"""Certificates that end, other authorities, wrong clocks and full disks, in a small fleet of its own on loopback."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from fixture import eventually, lighter_only

BIN = Path(os.environ.get("LIGHTER_BIN") or Path(__file__).resolve().parents[2] / ".build" / "release")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Program:
    """A daemon with its log, ended when the test ends."""

    def __init__(self, test, log, *command, **env):
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(list(map(str, command)), stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                            env={**clean(), **env})
        test.addCleanup(self.end)

    def said(self, words):
        return words in self.log.read_text(errors="replace")

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def clean():
    return {k: v for k, v in os.environ.items() if not k.startswith(("LIGHTER_", "DOCKER_"))}


@lighter_only
class Trust(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="lt-", dir="/var/tmp"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.port = free_port()

    def run_program(self, name, *args, expect=0):
        done = subprocess.run([BIN / name, *map(str, args)], text=True, capture_output=True, timeout=30, env=clean())
        self.assertEqual(done.returncode, expect, f"{name} {args}: {done.stderr}")
        return done.stdout.strip()

    def gateway(self, *args, data=None, **env):
        data = data or self.folder / "gateway"
        program = Program(self, self.folder / "gateway.log", BIN / "lighter-gateway", "--data", data, "--listen",
                          f"127.0.0.1:{self.port}", *args, **env)
        eventually("the gateway listens", lambda: program.said("serving") or program.process.poll() is not None)
        return program

    def join(self, name="n1", data=None, state=None):
        token = self.run_program("lighter-gateway", "token", "--data", data or self.folder / "gateway")
        state = state or self.folder / name
        self.run_program("lighter", "join", f"127.0.0.1:{self.port}", "--token", token, "--name", name, "--state",
                         state, "--no-start")
        return state

    def daemon(self, state, **env):
        # By variables: a program under libfaketime does not see its own arguments.
        program = Program(self, self.folder / f"{state.name}.log", BIN / "lighterd", LIGHTER_STATE=str(state),
                       LIGHTER_ENGINE="none", LIGHTER_SOCKET=str(state / "docker.sock"), LIGHTER_GROUP="root", **env)
        program.state = state
        return program

    def nodes(self):
        done = subprocess.run(
            [BIN / "lighter", "nodes", "--format", "json"], text=True, capture_output=True, timeout=30,
            env={**clean(), "LIGHTER_CREDENTIALS": str(self.folder / "gateway" / "operator"),
                 "LIGHTER_GATEWAY": f"127.0.0.1:{self.port}"})
        return {n.get("name") or n.get("id"): n for n in json.loads(done.stdout)} if done.returncode == 0 else {}

    def pings(self, state):
        """Whether the device's own front door answers."""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(5)
                s.connect(str(state / "docker.sock"))
                s.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
                return s.recv(4096).startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False

    def full(self, folder, megabytes=4):
        """Puts `folder` on a small disk of its own; returns what fills it."""
        folder.mkdir(parents=True, exist_ok=True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder],
                          capture_output=True).returncode:
            self.skipTest("needs to mount a tmpfs")
        self.addCleanup(subprocess.run, ["umount", "-l", folder])

        def fill():
            with open(folder / "ballast", "ab", buffering=0) as ballast:
                try:
                    while True:
                        ballast.write(b"\0" * 4096)
                except OSError:
                    pass
        return fill

    # ------------------------------------------------------------- certificates

    def test_certificates_are_renewed_without_a_break(self):
        self.gateway("--certificate-lifetime", "6s")
        state = self.join()
        before = (state / "credentials" / "cert.pem").read_text()
        daemon = self.daemon(state)
        seen = set()

        def renewed_twice():
            seen.add((state / "credentials" / "cert.pem").read_text())
            return len(seen - {before}) >= 2
        eventually("two renewals", renewed_twice, 30)
        time.sleep(3)  # past the end of the first certificates: the session must have outlived them
        self.assertFalse(daemon.said("the link to the gateway ended"), daemon.log.read_text())
        self.assertIn("n1", self.nodes())

    def test_an_expired_certificate_is_said_and_the_device_goes_on_alone(self):
        gateway = self.gateway("--certificate-lifetime", "2s")
        state = self.join()
        time.sleep(3)  # the certificate's end is the point
        daemon = self.daemon(state)
        eventually("it is said", lambda: daemon.said("expired"))
        eventually("the front door serves", lambda: self.pings(state))
        self.assertIsNone(daemon.process.poll())
        self.assertIsNone(gateway.process.poll())

    def test_an_authority_of_another_fleet_is_said(self):
        self.gateway()
        state = self.join()
        other = self.folder / "other"
        self.run_program("lighter-gateway", "init", "--data", other, "--fleet", "other")
        shutil.copy(other / "operator" / "ca.pem", state / "credentials" / "ca.pem")
        daemon = self.daemon(state)
        eventually("it is said", lambda: daemon.said("another fleet") or daemon.said("authority"))
        eventually("the front door serves, or the daemon ended with one line",
                   lambda: self.pings(state) or daemon.process.poll() is not None)
        self.assertFalse(daemon.said("Fatal error"))

    def test_a_clock_that_is_off_is_said_and_the_device_goes_on(self):
        library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
        if not library:
            self.skipTest("needs Debian's faketime")
        self.gateway()
        for off in ("-1h", "+1h", "+26h"):
            with self.subTest(off=off):
                daemon = self.daemon(self.join(f"n{off[1:]}{'p' if off[0] == '+' else 'm'}"), LD_PRELOAD=str(library),
                                     FAKETIME=off, FAKETIME_DONT_FAKE_MONOTONIC="1")
                eventually("it is said", lambda: daemon.said("clock is") or daemon.said("set the clock"))
                eventually("the front door serves", lambda: self.pings(daemon.state))

    def test_a_token_is_made_for_a_fleet_that_is_there_only(self):
        nowhere = self.folder / "mistyped"
        done = subprocess.run([BIN / "lighter-gateway", "token", "--data", nowhere], text=True, capture_output=True,
                              timeout=30, env=clean())
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("there is no fleet in", done.stderr)
        self.assertFalse(nowhere.exists())

    # ------------------------------------------------------------- full disks

    def test_a_full_disk_at_the_gateway_loses_nothing_and_is_said(self):
        data = self.folder / "gateway"
        fill = self.full(data)
        gateway = self.gateway()
        state = self.join()
        self.daemon(state)
        eventually("the node is there", lambda: "n1" in self.nodes())
        fill()
        token = subprocess.run([BIN / "lighter-gateway", "token", "--data", data], text=True, capture_output=True,
                               timeout=30, env=clean())
        self.assertNotEqual(token.returncode, 0)
        self.assertEqual(len(token.stderr.strip().splitlines()), 1, token.stderr)
        self.assertIsNone(gateway.process.poll(), "it died of a full disk")
        self.assertIn("n1", self.nodes())
        (data / "ballast").unlink()
        eventually("tokens are made again", lambda: subprocess.run(
            [BIN / "lighter-gateway", "token", "--data", data], capture_output=True, timeout=30, env=clean()
        ).returncode == 0)

    def test_a_full_disk_at_the_device_is_survived(self):
        self.gateway("--certificate-lifetime", "9s")
        state = self.folder / "n1"
        fill = self.full(state)
        self.join(state=state)
        daemon = self.daemon(state)
        eventually("the node serves", lambda: self.pings(state) and daemon.said("connected to the gateway"))

        def finds_no_room():
            fill()  # again: a renewal that was under way may have given up the room of the files that it replaced
            return daemon.said("was not renewed")

        eventually("a renewal finds no room", finds_no_room, 30)
        self.assertIsNone(daemon.process.poll(), "it died of a full disk")
        self.assertTrue(self.pings(state))
        credentials = state / "credentials"
        self.assertTrue((credentials / "cert.pem").read_text().strip(), "the old certificate must stay")
        self.assertTrue((credentials / "key.pem").read_text().strip(), "the old key must stay")
        (state / "ballast").unlink()
        before = (credentials / "cert.pem").read_text()
        eventually("it is renewed again", lambda: (credentials / "cert.pem").read_text() != before, 30)
        self.assertFalse(daemon.said("the link to the gateway ended"), daemon.log.read_text())


if __name__ == "__main__":
    unittest.main()
