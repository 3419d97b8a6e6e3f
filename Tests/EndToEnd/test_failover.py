"""Work of a node that is lost runs on elsewhere: one container to its users, and never twice."""

import json
import os
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from fixture import FLEET, Case, OwnFleet, command_output, eventually, remote_only
from test_images import Registry

DEVICE, FIRST, SECOND = "fo1", "fo2", "fo3"
COUNT = "i=0; while true; do i=$((i+1)); echo $i; sleep 0.2; done"


class Heard:
    """What a client has printed so far, line by line."""

    def __init__(self, stream):
        self.lines = []
        self.reader = threading.Thread(target=self.read, args=(stream,), daemon=True)
        self.reader.start()

    def read(self, stream):
        for line in stream:
            self.lines.append(line.decode().strip())

    def end(self):
        """Waits for the end of what it prints."""
        self.reader.join(60)


@remote_only
class Failover(Case):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(os.environ.pop, "TESTBED_FLEET", None)
        cls.addClassCleanup(lambda: command_output(FLEET, "down"))
        cls.world = OwnFleet(
            "failover", (DEVICE, FIRST, SECOND), "gateway", f"{DEVICE}:rtt=5ms", f"{FIRST}:files=own", f"{SECOND}:files=own")

    def setUp(self):
        super().setUp()
        self.addCleanup(self.whole)

    def whole(self):
        """Everything is as it was, whatever the test did."""
        command_output(FLEET, "heal", FIRST, SECOND)
        command_output(FLEET, "up", timeout=120)

    # ------------------------------------------------------------ where is it?

    def on_engine(self, node, name, template="{{.State.Status}}"):
        """What the engine of a node itself says of the container; None where it has none, or is down."""
        name = name if node == DEVICE else f"{name}.{DEVICE}"
        found = self.docker("inspect", "-f", template, name, at=node, engine=True, expect=None)
        return found.line if found.code == 0 else None

    def place(self, name):
        """The one node whose engine runs it."""
        running = [n for n in (FIRST, SECOND, DEVICE) if self.on_engine(n, name) == "running"]
        self.assertLessEqual(len(running), 1, f"{name} runs at {running}")
        return running[0] if running else None

    def moved(self, name, lost, patience=20):
        """Waits until another node than `lost` runs it; says which."""
        return eventually(f"{name} runs elsewhere", lambda: (
            place := self.place(name)) and place != lost and place, patience)

    def begun(self, name, *args):
        self.docker("run", "-d", "--name", name, *args)
        return eventually("it runs", lambda: self.place(name))

    # ------------------------------------------------------------------- tests

    def test_a_service_is_the_same_to_its_users_after_its_node_lost_power(self):
        name = self.name()
        program = "mkdir -p /w; hostname > /w/index.html; exec httpd -f -p 80 -h /w"
        first = self.begun(name, "--restart", "always", "-p", "18080:80", "busybox", "sh", "-c", program)
        identity = self.inspect(name, "{{.Id}} {{.Name}} {{.Config.Hostname}} {{.HostConfig.RestartPolicy.Name}}")
        self.fleet("kill", first)
        second = self.moved(name, first)
        eventually("the device knows", lambda: self.state(name) == "running")
        self.assertEqual(
            self.inspect(name, "{{.Id}} {{.Name}} {{.Config.Hostname}} {{.HostConfig.RestartPolicy.Name}}"), identity)
        full = identity.split()[0]
        self.assertEqual(self.docker("ps", "-a", "--no-trunc", "--format", "{{.ID}}", "--filter", f"name={name}").out.split(),
                         [full])
        self.assertNotEqual(self.on_engine(second, name, "{{.Id}}"), full, "an engine draws its own id")
        for reference in (name, full, full[:12], full[:7]):
            self.assertEqual(self.docker("exec", reference, "hostname").line, full[:12])
        page = self.fleet("exec", DEVICE, "wget", "-qO-", "http://localhost:18080/").line
        self.assertEqual(page, full[:12])
        self.assertIn(f"node {first} was lost", self.inspect(name, "{{.State.Error}}"))
        self.assertEqual(self.inspect(name, '{{index .Config.Labels "io.lighter.attempt"}}'), "2")
        self.assertEqual(self.inspect(name, "{{json .Mounts}}"), "[]")
        self.docker("restart", "-t", "0", name)
        self.docker("stop", "-t", "0", name)
        self.assertEqual(self.state(name), "exited")
        self.docker("start", name)
        self.fleet("start", first)
        eventually("what was left of it is gone", lambda: self.on_engine(first, name) is None, 20)
        self.assertEqual(self.place(name), second)
        self.docker("rm", "-f", name)
        self.assertIsNone(self.on_engine(second, name))

    def test_a_service_goes_back_to_the_node_that_it_was_lost_with_where_its_label_says_so(self):
        name = self.name()
        first = self.begun(name, "--init", "--restart", "always", "--label", "lighter.return=keep-original", "-p", "18084:80",
                           "busybox", "httpd", "-f", "-p", "80", "-h", "/etc")
        full = self.inspect(name, "{{.Id}}")
        self.fleet("kill", first)
        second = self.moved(name, first)
        self.fleet("start", first)
        # A node that was lost often, as in other tests, has to be well for longer.
        eventually("it is back", lambda: self.place(name) == first, 90)
        eventually("the other has nothing left of it", lambda: self.on_engine(second, name) is None)
        self.assertEqual(self.inspect(name, "{{.Id}} {{.State.Status}}"), f"{full} running")
        page = self.fleet("exec", DEVICE, "wget", "-qO-", "http://localhost:18084/hostname").line
        self.assertEqual(page, full[:12])

    def test_a_neighbour_tells_what_a_node_is_lost_by(self):
        said = lambda words: words in self.fleet("cli", "nodes").out
        self.fleet("daemon", FIRST, "kill")
        eventually("its machine is there", lambda: said("reaches its machine, where no lighterd listens"), 20)
        self.fleet("daemon", FIRST, "start")
        eventually("it is heard again", lambda: not said("where no lighterd listens"), 20)
        self.fleet("cut", FIRST)
        eventually("nobody reaches it", lambda: said("does not reach it either"), 30)

    def test_a_job_is_run_again_and_its_caller_hears_all_of_it_and_how_that_ended(self):
        name, words = self.name(), ["begun", *map(str, range(1, 9))]
        run = self.start("run", "--name", name, "--label", "lighter.loss=rerun", "busybox", "sh", "-c",
                         "echo begun; for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.5; done; echo bad >&2; exit 7")
        heard = Heard(run.stdout)
        first = eventually("it runs", lambda: self.place(name))
        eventually("it says something", lambda: "2" in heard.lines)
        inside = self.start("exec", name, "sleep", "60")
        self.fleet("kill", first)
        self.moved(name, first)
        self.assertEqual(run.wait(60), 7)
        self.assertEqual(self.inspect(name, "{{.State.ExitCode}}"), "7")
        heard.end()
        again = len(heard.lines) - len(words)
        self.assertEqual(heard.lines, words[:again] + words, "some of it was repeated, or lost")
        self.assertEqual(run.stderr.read(), b"bad\n")
        self.assertNotEqual(inside.wait(30), 0)

    def test_who_listens_hears_a_container_go_on_where_its_user_moves_it(self):
        name = self.name()
        first = self.begun(name, "--init", "busybox", "sh", "-c", "echo begun; " + COUNT)
        calls = {"logs": ("logs", "-f", name), "attach": ("attach", "--no-stdin", name),
                 "stats": ("stats", "--format", "{{.MemUsage}}", name),
                 "events": ("events", "--filter", f"container={name}", "--filter", "event=start", "--format", "{{.Action}}")}
        heard = {call: Heard(self.start(*args).stdout) for call, args in calls.items()}
        for call in ("logs", "attach", "stats"):
            eventually(f"{call} says something", lambda: heard[call].lines)
        for target in (SECOND if first == FIRST else FIRST, DEVICE):
            counts = {call: len(each.lines) for call, each in heard.items()}
            done = self.moved_to(name, target)
            self.assertEqual(done.returncode, 0, done.stderr)
            for call in ("logs", "attach"):
                eventually(f"{call} goes on", lambda: heard[call].lines[counts[call]:].count("3") > 0)
            eventually("stats go on", lambda: any(
                re.search("[1-9][0-9.]*[KM]iB /", line) for line in heard["stats"].lines[counts["stats"] + 2:]))
            eventually("events go on", lambda: heard["events"].lines[counts["events"]:] == ["start"])
        self.docker("rm", "-f", name)
        for call in ("logs", "attach"):
            heard[call].end()
            parts = " ".join(heard[call].lines).split("begun")
            self.assertEqual(len(parts), 4 if call == "logs" else 3, heard[call].lines)
            for part in parts[1:]:
                self.assertEqual(part.split(), [str(n + 1) for n in range(len(part.split()))], f"{call} lost something")

    def test_what_holds_waits_for_its_node(self):
        name = self.name()
        first = self.begun(name, "busybox", "sleep", "600")
        self.fleet("cut", first)
        other = self.name()
        eventually("the node is lost", lambda: "Unreachable" in self.docker(
            "ps", "-a", "--format", "{{.Status}}", "--filter", f"name={name}").out, 20)
        self.docker("run", "-d", "--name", other, "busybox", "sleep", "600")
        time.sleep(3)
        self.assertEqual(self.on_engine(first, name), "running", "nothing else may have it, so it goes on")
        self.fleet("heal", first)
        eventually("it is back", lambda: self.docker(
            "inspect", "-f", "{{.State.Status}}", name, expect=None).line == "running", 30)

    def test_a_node_that_is_cut_off_has_stopped_its_work_before_another_begins_it(self):
        name = self.name()
        first = self.begun(name, "--restart", "always", "busybox", "sh", "-c", COUNT)
        pid = self.on_engine(first, name, "{{.State.Pid}}")
        self.fleet("cut", first)
        while self.place(name) in (first, None):
            time.sleep(0.02)
        self.assertFalse(os.path.exists(f"/proc/{pid}"), "it ran at both")
        self.fleet("heal", first)
        eventually("what was left of it is gone", lambda: self.on_engine(first, name) is None, 30)
        self.assertEqual(self.state(name), "running")

    def test_a_short_cut_moves_nothing_and_stops_nothing(self):
        name = self.name()
        first = self.begun(name, "--restart", "always", "busybox", "sh", "-c", COUNT)
        pid = self.on_engine(first, name, "{{.State.Pid}}")
        # As long as the two commands take: TCP, which tries ever more seldom, may need as long again to notice.
        self.fleet("cut", first)
        self.fleet("heal", first)
        time.sleep(4)
        self.assertEqual(self.on_engine(first, name, "{{.State.Pid}}"), pid)
        self.assertEqual(self.place(name), first)

    def test_it_comes_to_the_device_when_no_other_node_is_left(self):
        name, folder = self.name(), self.folder()
        (folder / "index.html").write_text("from the device\n")
        first = self.begun(name, "--restart", "always", "-p", "18081:80", "-v", f"{folder}:/w", "busybox", "httpd", "-f",
                           "-p", "80", "-h", "/w")
        full = self.inspect(name, "{{.Id}}")
        self.fleet("kill", FIRST, SECOND)
        self.assertEqual(self.moved(name, first), DEVICE)
        eventually("its users find it", lambda: self.state(name) == "running")
        self.assertEqual(self.inspect(name, "{{.Id}}"), full)
        for reference in (name, full, full[:12], full[:7]):
            self.assertEqual(self.docker("exec", reference, "hostname").line, full[:12])
        self.assertEqual(self.docker("ps", "-aq", "--no-trunc", "--filter", f"name={name}").out.split(), [full])
        page = self.fleet("exec", DEVICE, "wget", "-qO-", "http://localhost:18081/").line
        self.assertEqual(page, "from the device")
        self.fleet("start", FIRST, SECOND)
        eventually("what was left of it is gone", lambda: self.on_engine(first, name) is None, 30)
        self.assertEqual(self.place(name), DEVICE)
        self.docker("rm", "-f", full[:12])
        self.assertIsNone(self.on_engine(DEVICE, name))

    def unnamed(self, name):
        """The unnamed volumes that its users see it have; those that are listed."""
        used = [m["Name"] for m in json.loads(self.inspect(name, "{{json .Mounts}}"))]
        return used, self.docker("volume", "ls", "-q").out.split()

    def test_its_unnamed_volumes_are_those_of_the_new_container(self):
        name = self.name()
        first = self.begun(name, "--restart", "always", "-v", "/data", "busybox", "sleep", "600")
        (former,), listed = self.unnamed(name)
        self.assertIn(former, listed)
        self.fleet("kill", first)
        second = self.moved(name, first)
        eventually("it is inspected there", lambda: self.unnamed(name)[0] != [former])
        (now,), listed = self.unnamed(name)
        self.assertIn(now, listed)
        self.assertNotIn(former, listed)
        self.fleet("start", first)
        eventually("what was left of it is gone", lambda: self.on_engine(first, name) is None, 30)
        self.assertIn("in use", self.docker("volume", "rm", now, expect=1).err)
        self.fleet("kill", FIRST, SECOND)
        self.assertEqual(self.moved(name, second, 40), DEVICE)
        eventually("its users find it", lambda: self.state(name) == "running")
        (home,), listed = self.unnamed(name)
        self.assertIn(home, listed)
        self.assertNotIn(now, listed)
        self.docker("rm", "-f", "-v", name)
        self.assertNotIn(home, self.docker("volume", "ls", "-q").out.split())

    def test_an_image_that_the_device_never_had_is_pulled_for_one_that_comes_home(self):
        registry = Registry()
        self.addCleanup(registry.close)
        image, made, name = f"{registry.name}/team/{self.tag}:v1", self.name(), self.name()
        self.docker("run", "--name", made, "--label", "lighter.policy=local", "busybox", "sh", "-c", "echo made > /made")
        self.docker("commit", made, image, engine=True)
        self.docker("push", image, engine=True)
        self.docker("rm", made)
        self.docker("rmi", image, engine=True)
        for node in (FIRST, SECOND, DEVICE):
            self.addCleanup(self.docker, "rmi", "-f", image, at=node, engine=True, expect=None)
        first = self.begun(name, "--restart", "always", image, "sh", "-c", "cat /made; exec sleep 600")
        self.docker("image", "inspect", image, at=DEVICE, engine=True, expect=1)
        self.fleet("kill", FIRST, SECOND)
        self.assertEqual(self.moved(name, first, 40), DEVICE)
        eventually("it wrote what its image has", lambda: self.docker("logs", name).out == "made\n")

    def test_where_a_node_does_not_take_it_another_is_asked(self):
        name = self.name()
        first = self.begun(name, "--restart", "always", "busybox", "sh", "-c", COUNT)
        other = SECOND if first == FIRST else FIRST
        self.docker("run", "--rm", "--label", f"lighter.target={other}", "busybox", "true")
        image = self.docker("image", "inspect", "-f", "{{.Id}}", "busybox", at=DEVICE, engine=True).line
        self.docker("create", "--name", f"{name}.{DEVICE}", image, "true", at=other, engine=True)
        self.addCleanup(self.docker, "rm", "-f", f"{name}.{DEVICE}", at=other, engine=True, expect=None)
        self.fleet("kill", first)
        self.assertEqual(self.moved(name, first, 40), DEVICE)
        self.fleet("start", first)
        eventually("what was left of it is gone", lambda: self.on_engine(first, name) is None, 30)
        self.assertEqual(self.place(name), DEVICE)

    def test_the_gateway_restarts_and_nothing_moves(self):
        name = self.name()
        first = self.begun(name, "--restart", "always", "busybox", "sh", "-c", COUNT)
        pid = self.on_engine(first, name, "{{.State.Pid}}")
        self.fleet("gateway", "kill")
        time.sleep(6)  # more than any lease of the gateway's: the device itself vouches for it
        self.fleet("gateway", "start")
        time.sleep(4)
        self.assertEqual(self.on_engine(first, name, "{{.State.Pid}}"), pid)

    def test_a_device_whose_daemon_was_away_moves_it_when_it_is_back(self):
        name = self.name()
        first = self.begun(name, "--restart", "always", "busybox", "sh", "-c", COUNT)
        full = self.inspect(name, "{{.Id}}")
        self.fleet("daemon", DEVICE, "kill")
        self.fleet("kill", first)
        self.fleet("daemon", DEVICE, "start")
        second = self.moved(name, first, 40)
        self.assertEqual(eventually("it is known", lambda: self.inspect(name, "{{.Id}}")), full)
        self.fleet("daemon", DEVICE, "kill")
        self.fleet("daemon", DEVICE, "start")
        self.assertEqual(eventually("it is still known", lambda: self.inspect(name, "{{.Id}}")), full)
        self.assertEqual(self.place(name), second)

    def test_a_device_whose_daemon_dies_before_the_new_start_has_it_start(self):
        name, folder = self.name(), self.folder()
        first = self.begun(name, "--restart", "always", "-v", f"{folder}:/w", "busybox", "sh", "-c", COUNT)
        other = SECOND if first == FIRST else FIRST
        # So much that its way to the new node takes a while.
        for part in range(40):
            (folder / f"part{part}").write_bytes(os.urandom(2 << 20))
        self.fleet("link", DEVICE, "rate=50mbit")
        self.addCleanup(self.fleet, "link", DEVICE, "rate=0")
        self.fleet("kill", first)
        self.addCleanup(self.fleet, "start", first)
        eventually("it is made elsewhere", lambda: self.on_engine(other, name) == "created", 30)
        self.fleet("daemon", DEVICE, "kill")
        self.assertEqual(self.on_engine(other, name), "created")
        self.fleet("daemon", DEVICE, "start")
        eventually("it runs there", lambda: self.place(name) == other, 60)
        self.docker("rm", "-f", name)

    def test_what_was_made_here_of_one_that_comes_home_and_not_recorded_is_not_in_its_way(self):
        name = self.name()
        first = self.begun(name, "--restart", "always", "busybox", "sh", "-c", COUNT)
        full = self.inspect(name, "{{.Id}}")
        # As a daemon leaves it that ends just then.
        self.docker("create", "--name", name, "--label", f"io.lighter.container={full}", "busybox", "true",
                    at=DEVICE, engine=True)
        self.fleet("kill", FIRST, SECOND)
        self.assertEqual(self.moved(name, first), DEVICE)
        eventually("its users find it", lambda: self.state(name) == "running")
        self.fleet("start", FIRST, SECOND)
        eventually("what was left of it is gone", lambda: self.on_engine(first, name) is None, 30)
        self.docker("rm", "-f", name)

    def move(self, *args):
        return self.program("lighter", "move", *args, DOCKER_HOST=self.world.front_doors["edge1"])

    def moved_to(self, name, target):
        """Moves it once the node is heard: one that was cut off by the test before may dial anew just now."""
        def tried():
            done = self.move(name, "--to", target)
            return None if "cannot be reached" in done.stderr else done
        return eventually(f"{target} is heard", tried, 10)

    def test_its_user_moves_it_and_its_ports_and_mounts_go_along(self):
        name, folder = self.name(), self.folder()
        (folder / "index.html").write_text("here\n")
        first = self.begun(name, "--init", "-p", "18082:80", "-v", f"{folder}:/w", "busybox", "httpd", "-f", "-p", "80",
                           "-h", "/w")
        full = self.inspect(name, "{{.Id}}")
        other = SECOND if first == FIRST else FIRST
        for source, target in ((first, other), (other, first), (first, DEVICE)):
            done = self.moved_to(name, target)
            self.assertEqual((done.stdout.strip(), done.returncode), (f"{name}: from {source} to {target}", 0), done.stderr)
            self.assertEqual(self.place(name), target)
            self.assertIsNone(self.on_engine(source, name))
            self.assertEqual(self.inspect(name, "{{.Id}} {{.State.Status}}"), f"{full} running")
            page = self.fleet("exec", DEVICE, "wget", "-qO-", "http://localhost:18082/").line
            self.assertEqual(page, "here")

    def test_events_of_one_that_moves_are_of_one_container(self):
        name = self.name()
        first = self.begun(name, "--init", "busybox", "sleep", "600")
        full = self.inspect(name, "{{.Id}}")
        other = SECOND if first == FIRST else FIRST
        streams = [self.start("events", "--filter", "type=container", "--format", "{{.Action}} {{.Actor.ID}}", *more)
                   for more in ((), ("--filter", f"container={full[:12]}"), ("--filter", f"container={name}"))]
        time.sleep(1)
        moves = (other, first, DEVICE)
        for target in moves:
            self.assertEqual(self.moved_to(name, target).returncode, 0)
        self.docker("restart", "-t", "0", name)
        time.sleep(2)
        for stream in streams:
            stream.terminate()
            seen = [line.split() for line in stream.communicate(timeout=30)[0].decode().splitlines()]
            self.assertEqual({x[-1] for x in seen}, {full}, seen)
            actions = [x[0] for x in seen]
            self.assertEqual(actions.count("start"), len(moves) + 1, seen)
            self.assertEqual(actions.count("create"), len(moves), seen)
            self.assertNotIn("destroy", actions)
        for reference in (name, full, full[:12]):
            self.assertIn(DEVICE, self.fleet("cli", "explain", reference).out)
        past = self.docker("events", "--since", "10m", "--until", "0s", "--filter", f"container={full[:12]}", "--format",
                           "{{.Action}} {{.Actor.ID}}").out.split("\n")
        self.assertGreaterEqual(past.count(f"start {full}"), 2)
        self.assertNotIn(f"destroy {full}", past)
        self.assertIn("--with-state", self.move(full[:12], "--to", other).stderr)
        self.docker("rm", "-f", name)
        self.assertEqual(self.docker("ps", "-aq", "--filter", f"name={name}").line, "")

    def test_a_device_whose_daemon_dies_in_a_move_has_it_go_on(self):
        name = self.name()
        first = self.begun(name, "--init", "busybox", "sh", "-c", "trap '' TERM; while :; do sleep 0.2; done")
        other = SECOND if first == FIRST else FIRST
        program = Path(self.world.credentials).parents[2] / "bin" / "lighter"
        process = subprocess.Popen(
            [program, "move", name, "--to", other], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, "DOCKER_HOST": self.world.front_doors["edge1"]})
        self.addCleanup(self.reap, process)
        # Its engine waits ten seconds before it kills it.
        time.sleep(4)
        self.fleet("daemon", DEVICE, "kill")
        self.fleet("daemon", DEVICE, "start")
        eventually("it has been stopped", lambda: self.on_engine(first, name, "{{.State.Status}}") == "exited", 20)
        eventually("it runs again", lambda: self.on_engine(first, name, "{{.State.Status}}") == "running", 20)
        self.assertEqual(self.place(name), first)

    def test_where_it_cannot_be_made_it_goes_on_with_what_it_wrote(self):
        for target in ("another node", DEVICE):
            with self.subTest(target=target):
                name = self.name()
                first = self.begun(name, "--init", "busybox", "sh", "-c", "date >>/own; sleep 600")
                wrote = self.docker("exec", name, "cat", "/own").out
                other = (SECOND if first == FIRST else FIRST) if target != DEVICE else DEVICE
                self.docker("run", "--rm", "--label", f"lighter.target={other}", "busybox", "true")
                taken = name if other == DEVICE else f"{name}.{DEVICE}"
                image = self.docker("image", "inspect", "-f", "{{.Id}}", "busybox", at=DEVICE, engine=True).line
                self.docker("create", "--name", taken, image, "true", at=other, engine=True)
                self.addCleanup(self.docker, "rm", "-f", taken, at=other, engine=True, expect=None)
                done = self.moved_to(name, other)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn(f"stays at {first}", done.stderr)
                time.sleep(3)  # Its node would remove what the gateway knows to be elsewhere.
                self.docker("rm", "-f", taken, at=other, engine=True)
                eventually("it runs on", lambda: self.place(name) == first)
                self.assertTrue(self.docker("exec", name, "cat", "/own").out.startswith(wrote))

    def test_where_it_does_not_start_it_goes_on_with_what_it_wrote(self):
        with tempfile.TemporaryDirectory() as folder:
            job = Path(folder) / "job"
            job.write_text("#!/bin/sh\ntrap 'exit 0' TERM\n[ -e /own ] || date >/own\nsleep 600 &\nwait\n")
            job.chmod(0o755)
            for target in ("another node", DEVICE):
                with self.subTest(target=target):
                    name = self.name()
                    self.docker("create", "--name", name, "busybox", "/bin/job")
                    self.docker("cp", str(job), f"{name}:/bin/job")
                    self.docker("start", name)
                    first = eventually("it runs", lambda: self.place(name))
                    wrote = self.docker("exec", name, "cat", "/own").out
                    other = (SECOND if first == FIRST else FIRST) if target != DEVICE else DEVICE
                    done = self.moved_to(name, other)
                    self.assertEqual(done.returncode, 1, done.stdout)
                    self.assertRegex(done.stderr, f"stays at {first}: .*start.*/bin/job")
                    eventually("it runs on", lambda: self.place(name) == first)
                    self.assertEqual(self.docker("exec", name, "cat", "/own").out, wrote)
                    left = name if other == DEVICE else f"{name}.{DEVICE}"
                    eventually("nothing is left", lambda: self.docker(
                        "inspect", left, at=other, engine=True, expect=None).code == 1)

    def test_what_cannot_move_stays_and_runs_on(self):
        name = self.name()
        first = self.begun(name, "-v", f"{self.volume()}:/d", "busybox", "sleep", "600")
        other = SECOND if first == FIRST else FIRST
        for target, words in ((other, "volume"), (first, "already"), ("nowhere", "no node")):
            done = self.move(name, "--to", target)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(words, done.stderr)
        self.assertEqual(self.place(name), first)
        self.assertIn("no container", self.move("nobody", "--to", first).stderr)

    def test_services_leave_a_node_that_is_drained_and_what_stays_is_named(self):
        self.addCleanup(self.fleet, "cli", "nodes", "resume", FIRST)
        self.addCleanup(self.fleet, "cli", "nodes", "resume", SECOND)
        web, kept, volume = self.name(), self.name(), self.volume()
        first = self.begun(web, "--init", "--restart", "always", "-p", "18083:80", "busybox", "httpd", "-f", "-p", "80", "-h", "/etc")
        self.docker("run", "-d", "--init", "--name", kept, "--restart", "always", "-v", f"{volume}:/d", "--label",
                    f"lighter.target={first}", "busybox", "sleep", "600")
        gone = self.fleet("cli", "nodes", "drain", first, expect=1)
        second = self.place(web)
        self.assertNotEqual(second, first)
        self.assertIn(f"{web} (of {DEVICE}): moved to {second}", gone.out)
        self.assertIn(f"{kept} (of {DEVICE}): stays: volume {volume} is there", gone.out)
        self.assertEqual(self.place(kept), first)
        self.assertEqual(self.fleet("exec", DEVICE, "wget", "-qO-", "http://localhost:18083/hostname").line,
                         self.inspect(web, "{{.Config.Hostname}}"))
        nodes = self.fleet("cli", "nodes").out.splitlines()
        self.assertEqual([line.split()[0] for line in nodes if "ready, drained" in line], [first])
        refused = self.docker("run", "-d", "--label", f"lighter.target={first}", "busybox", "true", expect=125)
        self.assertIn(f"lighter nodes resume {first}", refused.err)
        self.docker("rm", "-f", kept)
        self.assertIn(f"{first} is drained", self.fleet("cli", "nodes", "drain", first).out)
        self.fleet("cli", "nodes", "resume", first)
        self.docker("run", "--rm", "--label", f"lighter.target={first}", "busybox", "true")
        self.assertIn("no node 'nowhere'", self.fleet("cli", "nodes", "drain", "nowhere", expect=1).err)

    def test_labels_that_say_nothing_are_refused(self):
        for label in ("lighter.loss=maybe", "lighter.attempts=0", "lighter.return=home"):
            found = self.docker("run", "-d", "--label", label, "busybox", "true", expect=125)
            self.assertRegex(found.err, re.escape(label.split("=")[0]) + ".*use ")

    def test_explain_says_why_it_is_where_it_is(self):
        name = self.name()
        first = self.begun(name, "--restart", "always", "busybox", "sleep", "600")
        self.fleet("kill", first)
        self.moved(name, first)
        shown = self.fleet("cli", "explain", name).out
        self.assertIn("its lease of this workload has run out", shown)
        identity = self.inspect(name, "{{.Id}}")

        # The client asks for the time up to the last whole second.
        def told():
            shown = self.docker("events", "--since", "60s", "--until", "0s", "--format", "{{json .}}").out.splitlines()
            return identity in {e["Actor"]["ID"] for e in map(json.loads, shown) if e["Type"] == "container"}
        eventually("its events are told under its id", told)
