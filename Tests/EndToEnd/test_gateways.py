"""Several gateways on one etcd: one leads; when it dies the next does, and of the fleet's work nothing is lost or doubled."""

import concurrent.futures
import json
import os
import subprocess

from fixture import FLEET, Case, OwnFleet, command_output, eventually, remote_only

DEVICE, TARGET, FIRST, SECOND = "gw1", "gw2", "ogateway", "pgateway"


@remote_only
class Gateways(Case):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(os.environ.pop, "TESTBED_FLEET", None)
        cls.addClassCleanup(lambda: command_output(FLEET, "down"))
        cls.world = OwnFleet("gateways", (DEVICE, TARGET), "--etcd", FIRST, SECOND, f"{DEVICE}:rtt=5ms",
                             f"{TARGET}:files=own")

    def setUp(self):
        super().setUp()
        self.addCleanup(command_output, FLEET, "up", timeout=120)
        self.addresses = dict(zip((FIRST, SECOND), self.world.gateway.split(",")))

    def cli(self, *args, gateway=None):
        """`lighter` with all gateways' addresses, or one: its exit code, output and error."""
        return subprocess.run([FLEET, "cli", *args, *(["--gateway", gateway] if gateway else [])], text=True,
                              capture_output=True, timeout=60)

    def leads(self, place):
        return self.cli("token", gateway=self.addresses[place]).returncode == 0

    def leader(self):
        """The gateway that leads, and the one that does not."""
        first = eventually("a gateway leads", lambda: next((p for p in self.addresses if self.leads(p)), None), 20)
        return first, SECOND if first == FIRST else FIRST

    def workloads(self):
        """What the gateways know of: name -> the rows of each workload that has not ended."""
        found = {}
        for row in json.loads(self.cli("ps", "--format", "json").stdout):
            found.setdefault(row["name"], []).append(row)
        return found

    def held(self):
        """Names of the device's containers that the target's engine runs, each as often as it does."""
        names = self.docker("ps", "--format", "{{.Names}}", at=TARGET, engine=True).out.split()
        return sorted(n.removesuffix(f".{DEVICE}") for n in names if n.endswith(f".{DEVICE}"))

    def assert_once(self, names):
        self.assertEqual([n for n in self.held() if n.startswith(self.tag)], sorted(names))
        eventually("all are known, once each", lambda: (
            known := self.workloads(), all(len(known.get(n, [])) == 1 for n in names))[-1])

    def test_one_leads_and_the_other_says_which(self):
        first, second = self.leader()
        refused = self.cli("token", gateway=self.addresses[second])
        self.assertEqual(refused.returncode, 1)
        self.assertIn(f"the leader is {self.addresses[first]}", refused.stderr)
        for order in ((first, second), (second, first)):
            asked = self.cli("token", gateway=",".join(self.addresses[p] for p in order))
            self.assertEqual(asked.returncode, 0, asked.stderr)

    def test_the_one_that_does_not_lead_shows_the_same(self):
        name = self.service()
        first, second = self.leader()
        self.assertIn(name, self.workloads())
        for words in (("ps", "--format", "json"), ("explain", name, "--format", "json")):
            shown = [self.cli(*words, gateway=self.addresses[place]) for place in (first, second)]
            self.assertEqual([s.returncode for s in shown], [0, 0], shown[1].stderr)
            self.assertEqual(json.loads(shown[0].stdout), json.loads(shown[1].stdout))
        nodes = [json.loads(self.cli("nodes", "--format", "json", gateway=self.addresses[p]).stdout) for p in (first, second)]
        self.assertEqual(*[[(n["name"], n["state"]) for n in found] for found in nodes])
        self.docker("rm", "-f", name)
        eventually("both know that it is gone", lambda: all(
            name not in self.cli("ps", gateway=self.addresses[p]).stdout for p in (first, second)))

    def test_without_a_leader_the_other_still_shows_what_is_on_record(self):
        name = self.service()
        first, second = self.leader()
        self.fleet("gateway", "kill", first)
        shown = self.cli("ps", gateway=self.addresses[second])
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn(name, shown.stdout)
        self.fleet("gateway", "start", first)

    def test_its_leader_killed_the_fleet_goes_on_with_the_next(self):
        name = self.service("--restart", "always")
        first, second = self.leader()
        pid = self.docker("inspect", "-f", "{{.State.Pid}}", f"{name}.{DEVICE}", at=TARGET, engine=True).line
        known = self.workloads()[name]
        self.fleet("gateway", "kill", first)
        eventually("the next leads", lambda: self.leads(second), 20)
        # Whoever knows both addresses need not know which one that is.
        self.assertEqual(self.cli("nodes").returncode, 0)
        eventually("the nodes are its own", lambda: all(
            n["state"] == "ready" for n in json.loads(self.cli("nodes", "--format", "json").stdout)), 20)
        later = self.service()
        self.assert_once([name, later])
        self.assertEqual([(w["workload"], w["epoch"]) for w in self.workloads()[name]],
                         [(w["workload"], w["epoch"]) for w in known])
        self.assertEqual(
            self.docker("inspect", "-f", "{{.State.Pid}}", f"{name}.{DEVICE}", at=TARGET, engine=True).line, pid,
            "exclusive work went on over the change of the leader")
        self.fleet("gateway", "start", first)
        eventually("it listens and waits", lambda: "the leader is" in self.cli(
            "token", gateway=self.addresses[first]).stderr)
        # In order, at once: what leaves tells nobody to wait for its lease.
        self.fleet("gateway", "stop", second)
        eventually("the first leads again", lambda: self.leads(first), 20)
        self.assert_once([name, later])

    def test_what_was_acknowledged_while_the_leader_died_is_there_once(self):
        names = [self.name() for _ in range(16)]
        first, _ = self.leader()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            running = [pool.submit(self.docker, "run", "-d", "--name", n, "busybox", "sleep", "600", timeout=120)
                       for n in names]
            next(iter(concurrent.futures.as_completed(running)))
            self.fleet("gateway", "kill", first)
            for one in running:
                one.result()
        # While none leads, the device runs by itself what it is asked for: that is its right, and each ran.
        here = self.docker("ps", "--format", "{{.Names}}", at=DEVICE, engine=True).out.split()
        ran = sorted([n for n in names if n in here] + [n for n in self.held() if n in names])
        self.assertEqual(ran, sorted(names))
        self.assertTrue(self.held(), "some went to the target")
        self.leader()
        eventually("the ledger has them all, once each", lambda: (
            known := self.workloads(), all(len(known.get(n, [])) == 1 for n in names))[-1], 20)
