"""The command line, `lighter up` above all: one machine from nothing to a container."""

import json
import os
import re
import socket
import subprocess
from pathlib import Path

from fixture import AWAY, Case, environment, eventually, lighter_only


def free_address():
    """An address that nobody listens on: a gateway that an interrupted run left behind must not be in the way."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def is_alive(pid):
    """Whether the process runs; one that has ended and waits for its parent to notice does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


GATEWAY = free_address()


@lighter_only
class Commands(Case):
    def setUp(self):
        super().setUp()
        self.home = self.scratch()  # also where the docker client of these tests keeps its contexts

    def lighter(self, *args, expect=0):
        return self.program("lighter", *args, expect=expect, HOME=str(self.home), DOCKER_CONFIG=str(self.home / "docker"))

    def up(self, *more):
        self.addCleanup(self.lighter, "down", "--state", self.home, expect=None)
        return self.lighter("up", "--state", self.home, "--listen", GATEWAY, "--engine",
                            self.world.engines["edge1"], "--name", "solo", *more).stdout

    def pids(self):
        return [Path(self.home, "run", f"{p}.pid").read_text() for p in ("lighterd", "lighter-gateway")]

    def ask(self, *args):
        return self.lighter(*args, "--gateway", GATEWAY, "--credentials", self.home / "gateway" / "operator").stdout

    def run_at(self, socket, *args):
        done = subprocess.run(["docker", "run", "--rm", "busybox", *args], text=True, capture_output=True, timeout=60,
                              env=environment(f"unix://{socket}"))
        done.said = (done.stdout, done.stderr)
        return done

    def test_one_word_makes_a_machine_ready_and_another_ends_it(self):
        said = self.up()
        self.assertIn("docker --context lighter run", said)
        self.assertEqual(self.run_at(self.home / "docker.sock", "echo", "hi").said, ("hi\n", ""))
        contexts = subprocess.run(["docker", "context", "inspect", "lighter"], text=True, capture_output=True,
                                  env={**os.environ, "DOCKER_CONFIG": str(self.home / "docker")}).stdout
        self.assertIn(f"unix://{self.home}/docker.sock", contexts)
        before = self.pids()
        self.up()
        self.assertEqual(self.pids(), before, "a second `up` restarted what ran as it should")
        nodes = json.loads(self.ask("nodes", "--format", "json"))
        self.assertEqual([(n["name"], n["state"]) for n in nodes], [("solo", "ready")])
        self.assertIn(f"`lighter down --state {self.home}` ends both", said)
        # Where it is kept elsewhere than by default, what else is to be said to the commands that are named.
        told = re.search(r"Set: +export LIGHTER_GATEWAY=(\S+) LIGHTER_CREDENTIALS=(\S+)", said)
        shown = self.program("lighter", "nodes", expect=0, LIGHTER_GATEWAY=told[1], LIGHTER_CREDENTIALS=told[2])
        self.assertIn("solo", shown.stdout)
        self.lighter("down", "--state", self.home)
        self.assertNotEqual(self.run_at(self.home / "docker.sock", "true").returncode, 0)
        for pid in before:
            self.assertFalse(is_alive(pid.split()[0]))

    def test_it_comes_up_again_with_the_same_identity(self):
        self.up()
        certificate = (self.home / "credentials" / "ca.pem").read_text()
        self.lighter("up", "--stop", "--state", self.home)
        self.up("--policy", "local")
        self.assertEqual((self.home / "credentials" / "ca.pem").read_text(), certificate)
        self.assertEqual(self.run_at(self.home / "docker.sock", "echo", "hi").said, ("hi\n", ""))

    def test_a_second_node_joins_with_a_token(self):
        self.up()
        token = self.ask("token", "--ttl", "10m").strip()
        self.assertRegex(token, r"^lt1-\w+$")
        other = self.scratch()
        self.addCleanup(self.lighter, "down", "--state", other, expect=None)
        self.lighter("join", GATEWAY, "--token", token, "--name", "second", "--state", other)
        found = eventually("both are in the gateway's view", lambda: {
            n["name"]: n["state"] for n in json.loads(self.ask("nodes", "--format", "json")) if n["name"] == "second"})
        self.assertIn(found["second"], ("ready", "engine-down"))
        again = self.lighter("join", GATEWAY, "--token", token, "--state", other, "--no-start", expect=1)
        self.assertIn("already", self.one_line(again))
        third = self.scratch()
        joined = self.lighter("join", GATEWAY, "--token", self.ask("token").strip(), "--state", third, "--no-start")
        host = re.sub("[^a-z0-9]", "-", socket.gethostname().split(".")[0].lower()).lstrip("-")
        self.assertRegex(joined.stdout, f"^{host[:58]}-[0-9a-f]{{4}} has joined the fleet")

    def test_lists_are_tables_for_people(self):
        name = self.service()
        listed = self.fleet("cli", "ps").out.splitlines()
        self.assertRegex(listed[0], r"^CONTAINER ID +NAME +IMAGE +STATE +ORIGIN +TARGET")
        self.assertEqual(len([x for x in listed if f" {name} " in x and f" {AWAY} " in x]), 1)
        self.assertRegex(self.fleet("cli", "nodes").out, r"(?m)^edge1 +ready ")

    def test_a_container_that_has_ended_is_listed_only_with_all_of_them(self):
        name = self.name()
        self.docker("run", "--name", name, "busybox", "sh", "-c", "exit 3", expect=3)
        ended = eventually("its end is known", lambda: [w for w in json.loads(
            self.fleet("cli", "ps", "-a", "--format", "json").out) if w["name"] == name and w["exitCode"] == 3])
        self.assertEqual(ended[0]["state"], "exited")
        self.assertNotIn(name, self.fleet("cli", "ps").out)

    def test_a_container_that_is_killed_for_want_of_memory_says_so(self):
        name = self.name()
        self.docker("run", "--name", name, "-m", "16m", "busybox", "tail", "/dev/zero", expect=137)
        ended = eventually("its end is known", lambda: [w for w in json.loads(
            self.fleet("cli", "ps", "-a", "--format", "json").out) if w["name"] == name and w["exitCode"] == 137])
        self.assertEqual(ended[0]["error"], "killed: out of memory")
        self.assertIn("exited (137), killed: out of memory", self.fleet("cli", "ps", "-a").out)
        self.assertIn("killed: out of memory", self.fleet("cli", "explain", name).out)

    def test_the_doctor_says_what_works_and_what_does_not(self):
        self.up()
        asked = ["doctor", "--socket", self.home / "docker.sock", "--format", "json", "--engine"]
        checks = {c["check"]: c for c in json.loads(self.lighter(*asked, self.world.engines["edge1"]).stdout)}
        self.assertEqual({n: c["result"] for n, c in checks.items()}, {
            "exits": "ok", "memory": "ok", "fencing": "ok", "ebpf": checks["ebpf"]["result"], "engine": "ok", "gateway": "ok", "clock": "ok",
            "disk": "ok"})
        self.assertRegex(checks["engine"]["detail"], r"version \d+\.")
        self.assertRegex("{result}: {detail}".format(**checks["ebpf"]),
                         r"^(ok: starts are told by the kernel|note: starts are told by the engine, later: .)")
        found = json.loads(self.lighter(*asked, "unix:///no/such", expect=1).stdout)
        self.assertEqual([c["check"] for c in found if c["result"] == "failed"], ["engine"])
        self.lighter("down", "--state", self.home)
        found = json.loads(self.lighter(*asked, "none", expect=1).stdout)
        self.assertEqual([c["check"] for c in found if c["result"] == "failed"], ["gateway"])

    def test_an_option_of_the_daemon_that_is_no_time_is_refused(self):
        refused = self.program("lighterd", "--state", self.home, "--scan-interval", "often", expect=None)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("--scan-interval: 'often' is no time from 1s to 24h", refused.stderr)

    def test_the_version_is_shown(self):
        self.assertRegex(self.lighter("version").stdout, r"^lighter \d+\.\d+\.\d+$")
