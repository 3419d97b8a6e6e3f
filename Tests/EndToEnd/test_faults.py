"""Programs and machines that die in the middle."""

import json
import subprocess
import time

from fixture import Case, eventually, remote_only

COUNTING = ("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done")


@remote_only
class Faults(Case):
    def setUp(self):
        super().setUp()
        self.mended()

    def counting(self):
        """A container away that counts on its standard output, and the client that shows it."""
        name = self.name()
        process = self.start("run", "--name", name, "busybox", *COUNTING, stdin=subprocess.DEVNULL)
        self.assertEqual(process.stdout.readline(), b"1\n")
        self.assert_at("cloud1", name)
        return name, process

    def assert_goes_on(self, process, lines=5):
        """The stream brings the next lines, none lost and none twice."""
        first = int(process.stdout.readline())
        for n in range(first + 1, first + lines):
            self.assertEqual(int(process.stdout.readline()), n)

    def goes_away_again(self):
        def tried():
            name = self.name()
            self.docker("run", "-d", "--name", name, "busybox", "sleep", "60")
            return self.whereabouts(name) == {"cloud1"}
        eventually("new work goes away again", tried, 30)

    def test_the_gateway_dies_and_nothing_that_runs_is_harmed(self):
        name, process = self.counting()
        self.fleet("gateway", "kill")
        self.assert_goes_on(process)
        self.assertEqual(self.docker("exec", name, "echo", "yes").line, "yes")
        self.assertIn(name, self.names())
        alone = self.name()
        found = self.docker("run", "--name", alone, "busybox", "echo", "here", timeout=60)
        self.assertEqual(found.out, "here\n")
        self.assert_at("edge1", alone)
        self.assertTrue(found.err.strip(), "the user was not told that the fleet is out of reach")
        self.fleet("gateway", "start")
        self.assert_goes_on(process)
        self.goes_away_again()
        self.assertEqual(self.docker("exec", name, "echo", "yes").line, "yes")
        eventually("the gateway knows it again", lambda: name in self.fleet("cli", "ps").out)
        self.docker("rm", "-f", name)
        self.assertEqual(process.wait(30), 137)

    def test_the_devices_daemon_dies_and_comes_back_to_the_same_list_and_routes(self):
        away, here = self.service(command=COUNTING), self.service("--label", "lighter.policy=local")
        fields = "{{.ID}} {{.Names}} {{.Image}} {{.State}}"
        before = sorted(self.docker("ps", "-a", "--no-trunc", "--format", fields).out.splitlines())
        self.fleet("daemon", "edge1", "kill")
        self.assertIn("Cannot connect", self.docker("ps", expect=1).err)
        self.fleet("daemon", "edge1", "start")
        self.assertEqual(sorted(self.docker("ps", "-a", "--no-trunc", "--format", fields).out.splitlines()), before)
        for name in (away, here):
            self.assertEqual(eventually("exec works", lambda n=name: self.docker(
                "exec", n, "echo", "yes", expect=None).line), "yes")
        self.assertIn("3", self.docker("logs", away).out.split())
        self.docker("stop", "-t", "0", away)
        self.assertEqual(self.docker("wait", away).line, "137")

    def test_the_devices_daemon_finds_its_work_again_while_the_gateway_is_away(self):
        away = self.service(command=COUNTING)
        self.fleet("gateway", "kill")
        self.fleet("daemon", "edge1", "kill")
        self.fleet("daemon", "edge1", "start")
        own = self.docker("ps", "--filter", f"name={self.tag}", "--format", "{{.Names}} {{.State}}").line
        self.assertEqual(own, f"{away} running")
        self.assertEqual(self.docker("exec", away, "echo", "yes").line, "yes")

    def test_the_device_reports_its_own_work_after_a_restart_of_its_daemon(self):
        here = self.service("--label", "lighter.policy=local")

        def state():
            rows = json.loads(self.fleet("cli", "ps", "--all", "--format", "json").out)
            return next((row["state"] for row in rows if row["name"] == here), "")
        eventually("the gateway knows it", lambda: state() == "running")
        self.fleet("daemon", "edge1", "kill")
        self.docker("kill", here, engine=True)
        self.fleet("daemon", "edge1", "start")
        eventually("its end is reported", lambda: state() == "exited")

    def test_the_targets_daemon_dies_and_the_container_lives_on(self):
        name = self.service(command=COUNTING)
        ident = self.inspect(name, "{{.Id}}")
        self.fleet("daemon", "cloud1", "kill")
        self.fleet("daemon", "cloud1", "start")
        eventually("the route is back", lambda: self.docker("exec", name, "true", expect=None).code == 0, 30)
        self.assertEqual(self.inspect(name, "{{.Id}} {{.State.Status}}"), f"{ident} running")
        self.goes_away_again()

    def test_a_create_that_its_daemon_does_not_survive_leaves_nothing_behind(self):
        names = [self.name() for _ in range(12)]
        clients = [self.start("create", "--name", name, "busybox", "true") for name in names]
        time.sleep(0.15)  # some creates are under way, some done, some not begun: any mixture will do
        self.fleet("daemon", "edge1", "kill")
        made = {name for name, client in zip(names, clients) if client.wait(30) == 0}
        self.fleet("daemon", "edge1", "start")

        def only_what_was_made():
            listed = {n for n in self.names("-a") if n in names}
            there = {n.removesuffix(".edge1") for n in self.docker(
                "ps", "-a", "--format", "{{.Names}}", at="cloud1", engine=True).out.split()} & set(names)
            return made <= listed and listed == there and all(
                self.docker("inspect", name, expect=None).code == 0 for name in listed)
        eventually("whatever is listed can be used, and nothing else is there", only_what_was_made, 30)
        for name in names:
            self.docker("rm", "-f", name, expect=None)
            self.docker("run", "--rm", "--name", name, "busybox", "true")

    def test_what_is_out_of_reach_is_still_found_by_what_is_known_of_it(self):
        running = self.service("--label", f"e2e={self.tag}")
        created = self.name()
        self.docker("create", "--name", created, "--label", f"e2e={self.tag}", "busybox", "true")
        self.addCleanup(self.fleet, "up")  # before they are removed
        self.assertEqual(self.names("-a", "--filter", f"label=e2e={self.tag}"), {running, created})
        self.fleet("daemon", "cloud1", "kill")
        mine = ("--filter", f"label=e2e={self.tag}")
        self.assertEqual(self.names("-a", *mine), {running, created})
        self.assertEqual(self.names(*mine), {running})
        self.assertEqual(self.names("-a", *mine, "--filter", "status=created"), {created})
        self.assertEqual(self.names(*mine, "--filter", "ancestor=busybox"), {running})
        self.assertEqual(self.names("-a", "--filter", "label=e2e=other"), set())
        self.assertIn("Unreachable", self.docker("ps", *mine, "--format", "{{.Status}}").line)

    def test_the_targets_engine_stops_and_new_work_stays_here_until_it_is_back(self):
        self.fleet("stop", "cloud1")
        at_once = self.docker("run", "--rm", "busybox", "echo", "hi")
        self.assertEqual(at_once.out, "hi\n")

        def stays():
            name = self.name()
            found = self.docker("run", "-d", "--name", name, "busybox", "sleep", "60", expect=None, timeout=60)
            return found.code == 0 and self.docker("ps", "--format", "{{.Names}}", at="edge1",
                                                   engine=True).out.split().count(name) == 1
        eventually("new work stays on the device", stays, 30)
        self.fleet("start", "cloud1")
        self.goes_away_again()

    def test_events_of_a_node_go_on_when_its_engine_is_back(self):
        self.goes_away_again()
        label = ("--label", f"t={self.tag}")
        before = self.service(*label)
        self.assert_at("cloud1", before)
        process = self.start("events", "--format", "{{.Action}} {{.Actor.Attributes.name}}", "--filter",
                             f"label=t={self.tag}", stdin=subprocess.DEVNULL)
        time.sleep(0.5)  # nothing says that the stream stands
        self.docker("pause", before)
        self.assertEqual(process.stdout.readline().decode().split(), ["pause", before])
        self.fleet("stop", "cloud1")
        time.sleep(3)  # while it is asked again, in vain
        self.fleet("start", "cloud1")
        after = None

        def away():
            nonlocal after
            after = self.name()
            self.docker("run", "-d", "--name", after, *label, "busybox", "sleep", "60")
            return self.whereabouts(after) == {"cloud1"}
        eventually("new work goes away again", away, 30)
        seen = []
        while ["start", after] not in seen:
            line = process.stdout.readline()
            self.assertTrue(line, f"events ended after {seen}")
            seen.append(line.decode().split())
        self.assertEqual([seen.count([action, after]) for action in ("create", "start")], [1, 1])

    def test_the_devices_engine_stops_and_its_socket_says_so_until_it_is_back(self):
        away = self.service()
        self.fleet("stop", "edge1")
        found = self.docker("run", "--rm", "--label", "lighter.policy=local", "busybox", "true", expect=125)
        self.assertTrue(found.err.strip())
        self.assertEqual(self.docker("exec", away, "echo", "yes").line, "yes")
        self.fleet("start", "edge1")
        eventually("work runs here again", lambda: self.docker(
            "run", "--rm", "--label", "lighter.policy=local", "busybox", "true", expect=None).code == 0, 30)

    def test_what_runs_elsewhere_is_all_there_while_the_devices_engine_is_stopped(self):
        self.goes_away_again()
        away, here = self.service("-v", "/data"), self.service("--label", "lighter.policy=local")
        self.assert_at("cloud1", away)
        volume = self.inspect(away, "{{(index .Mounts 0).Name}}")
        self.fleet("stop", "edge1")
        for restarted in (False, True):
            with self.subTest(restarted=restarted):
                if restarted:
                    self.fleet("daemon", "edge1", "kill")
                    self.fleet("daemon", "edge1", "start")
                    eventually("the link is back", lambda: self.docker("exec", away, "true", expect=None).code == 0)
                listed = self.names("-a")
                self.assertIn(away, listed)
                self.assertNotIn(here, listed)
                self.assertEqual(self.state(away), "running")
                self.docker("logs", away)
                self.assertIn(volume, self.docker("volume", "ls", "-q").out.split())
                self.assertTrue(self.docker("version", "--format", "{{.Server.Version}}").line)
                self.assertIn("cannot reach its own engine", self.docker("info").err)
                for command in (("inspect", "--type", "container", here), ("images",), ("start", here)):
                    self.assertIn("Is the docker daemon running?", self.docker(*command, expect=1).err)
                found = self.docker("run", "--rm", "--label", "lighter.policy=local", "busybox", "true", expect=125)
                # The second where the fleet has not heard yet that this node's engine is away.
                self.assertRegex(found.err, "its engine does not answer: start it|Is the docker daemon running")
                if not restarted:  # what an image's name means is known from before
                    self.assertEqual(self.docker("run", "--rm", "busybox", "echo", "away").line, "away")
        self.docker("stop", "-t", "0", away)
        self.docker("rm", "-v", away)
        self.fleet("start", "edge1")
        eventually("the engine's own are listed again", lambda: here in self.names("-a"), 30)
        self.assertNotIn(away, self.names("-a"))

    def test_exec_instances_outlive_the_devices_daemon(self):
        self.goes_away_again()
        name = self.service()

        def create(command):
            status, text = self.call("POST", f"/containers/{name}/exec", {"Cmd": ["sh", "-c", command],
                                                                          "AttachStdout": True})
            self.assertEqual(status, 201, text)
            return json.loads(text)["Id"]
        running, waiting = create("sleep 600"), create("echo late")
        self.assertEqual(self.call("POST", f"/exec/{running}/start", {"Detach": True})[0], 200)
        self.fleet("daemon", "edge1", "kill")
        self.fleet("daemon", "edge1", "start")
        shown = json.loads(eventually("the route is back", lambda: [
            text for status, text in [self.call("GET", f"/exec/{running}/json")] if status == 200])[0])
        self.assertEqual((shown["ID"], shown["Running"], shown["ContainerID"]),
                         (running, True, self.inspect(name, "{{.Id}}")))
        status, text = self.call("POST", f"/exec/{waiting}/start", {"Detach": False})
        self.assertEqual(status, 200)
        self.assertIn("late", text)
        self.assertEqual(json.loads(self.call("GET", f"/exec/{waiting}/json")[1])["ExitCode"], 0)

    def test_a_link_that_is_cut_gives_errors_and_heals(self):
        name = self.service()
        self.fleet("cut", "cloud1")
        alone = self.name()
        self.docker("run", "--name", alone, "--label", "lighter.policy=local", "busybox", "true")
        self.fleet("heal", "cloud1")
        eventually("the route is back", lambda: self.docker("exec", name, "true", expect=None).code == 0, 40)
        self.assertEqual(self.state(name), "running")

    def test_a_device_that_loses_power_finds_its_work_again(self):
        away = self.service()
        ident = self.inspect(away, "{{.Id}}")
        self.fleet("kill", "edge1")
        self.fleet("start", "edge1")
        eventually("the route is back", lambda: self.docker("exec", away, "true", expect=None).code == 0, 30)
        self.assertEqual(self.inspect(away, "{{.Id}}"), ident)
