"""A container moves with all that it wrote: its own files, and its volumes."""

import json
import os
import subprocess
import time
from pathlib import Path

from fixture import FLEET, Case, OwnFleet, command_output, eventually, remote_only

DEVICE, FIRST, SECOND = "mv1", "mv2", "mv3"
APPEND = "i=0; [ -s /data/log ] && i=$(tail -n 1 /data/log); while true; do i=$((i+1)); echo $i >>/data/log; echo $i >>/own; usleep 2000; done"


@remote_only
class Moving(Case):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(os.environ.pop, "TESTBED_FLEET", None)
        cls.addClassCleanup(lambda: command_output(FLEET, "down"))
        cls.world = OwnFleet(
            "moving", (DEVICE, FIRST, SECOND), "gateway", f"{DEVICE}:rtt=5ms,files=own", f"{FIRST}:files=own", f"{SECOND}:files=own")

    def setUp(self):
        super().setUp()
        self.addCleanup(self.whole)

    def whole(self):
        """Everything is as it was, whatever the test did."""
        command_output(FLEET, "heal", FIRST, SECOND)
        command_output(FLEET, "link", SECOND, "rate=0")
        command_output(FLEET, "up", timeout=120)

    # ------------------------------------------------------------ at the engines

    def engine(self, node, *args, expect=None):
        return self.docker(*args, at=node, engine=True, expect=expect)

    def on_engine(self, node, name, template="{{.State.Status}}"):
        """What the engine of a node itself says of the container; None where it has none, or is down."""
        found = self.engine(node, "inspect", "-f", template, name if node == DEVICE else f"{name}.{DEVICE}")
        return found.line if found.code == 0 else None

    def place(self, name):
        running = [n for n in (FIRST, SECOND, DEVICE) if self.on_engine(n, name) == "running"]
        self.assertLessEqual(len(running), 1, f"{name} runs at {running}")
        return running[0] if running else None

    def volumes(self, node):
        """The volumes of an engine, by the names that its user knows."""
        return {v.removesuffix(f".{DEVICE}") for v in self.engine(node, "volume", "ls", "-q", expect=0).out.split()}

    def folder_of(self, node, volume):
        name = volume if node == DEVICE else f"{volume}.{DEVICE}"
        return Path(self.engine(node, "volume", "inspect", "-f", "{{.Mountpoint}}", name, expect=0).line)

    def layer(self, node, name):
        return Path(self.on_engine(node, name, "{{.GraphDriver.Data.UpperDir}}"))

    # -------------------------------------------------------------------- moving

    def command(self, name, target):
        program = Path(self.world.credentials).parents[2] / "bin" / "lighter"
        process = subprocess.Popen(
            [program, "move", name, "--to", target, "--with-state"], text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "DOCKER_HOST": self.world.front_doors["edge1"]})
        self.addCleanup(self.reap, process)
        return process

    def move(self, name, target):
        process = self.command(name, target)
        out, err = process.communicate(timeout=120)
        return process.returncode, out.strip(), err.strip()

    def moves(self, name, source, target):
        code, out, err = self.move(name, target)
        self.assertEqual(code, 0, err)
        self.assertTrue(out.startswith(f"{name}: from {source} to {target}"), out)
        print("   ", out, flush=True)
        return out

    def begun(self, name, *args):
        self.docker("run", "-d", "--init", "--name", name, *args)
        return eventually("it runs", lambda: self.place(name))

    def other(self, node):
        return SECOND if node == FIRST else FIRST

    def assert_whole(self, name, path="/data/log"):
        """What was appended is there, line for line; a line that was being written may be cut short by the stop."""
        lines = [int(x) for x in self.docker("exec", name, "cat", path).out.split()]
        self.assertGreater(len(lines), 10)
        self.assertEqual(lines, list(range(1, len(lines) + 1)))
        return len(lines)

    # --------------------------------------------------------------------- tests

    def test_services_leave_a_drained_node_with_their_volumes(self):
        self.addCleanup(lambda: [command_output(FLEET, "cli", "nodes", "resume", node) for node in (FIRST, SECOND)])
        name, beside, volume, shared = self.name(), self.name(), self.volume(), self.volume()
        first = self.begun(name, "--restart", "always", "-v", f"{volume}:/data", "busybox", "sh", "-c", APPEND)
        second = self.other(first)
        sharing = [self.name(), self.name()]
        for other in sharing:
            self.docker("run", "-d", "--init", "--name", other, "--restart", "always", "--label", f"lighter.target={first}",
                        "-v", f"{shared}:/d", "busybox", "sleep", "600")
        self.docker("run", "-d", "--init", "--name", beside, "--restart", "always", "busybox", "sh", "-c",
                    "[ -e /own ] || echo kept >/own; sleep 600")
        where = eventually("it runs", lambda: self.place(beside))
        if where != first:
            self.moves(beside, where, first)
        done = self.drain(first, "--with-state")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for other in (name, beside):
            self.assertIn(f"{other} (of {DEVICE}): moved to ", done.stdout)
            self.assertNotEqual(self.place(other), first)
        self.assert_whole(name)
        self.assertEqual(self.docker("exec", beside, "cat", "/own").line, "kept")
        self.assertIn(f"{sharing[0]} (of {DEVICE}): stays: volume {shared} is used by {sharing[1]}, too", done.stdout)
        self.assertEqual({self.place(s) for s in sharing}, {first})
        self.assertEqual(self.volumes(first) & {volume, shared}, {shared}, "no copy is left")
        self.docker("rm", "-f", *sharing)
        done = self.drain(first, "--with-state")
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1]), (0, f"{first} is drained"))

    def drain(self, node, *args):
        return subprocess.run([FLEET, "cli", "nodes", "drain", node, *args], text=True, capture_output=True, timeout=180)

    def test_it_goes_on_elsewhere_with_all_that_it_wrote(self):
        name, volume = self.name(), self.volume()
        first = self.begun(name, "-v", f"{volume}:/data", "-v", "/unnamed", "busybox", "sh", "-c", APPEND)
        second = self.other(first)
        script = ("echo a >/unnamed/a; mkdir -p /made/deep; echo x >/made/x; ln /made/x /made/y; ln -s x /made/z; "
                  "chown 1234:99 /made/x; chmod 4750 /made/deep; rm /usr/bin/yes; rm -r /etc/init.d 2>/dev/null; mkfifo /made/fifo; "
                  "dd if=/dev/urandom of=/data/large bs=1M count=20 2>/dev/null; sha256sum /data/large >/sum")
        self.docker("exec", name, "sh", "-c", script)
        os.setxattr(self.layer(first, name) / "made/x", "user.color", b"red")
        identity = self.inspect(name, "{{.Id}} {{.Name}} {{.Config.Image}} {{.Image}} {{.Config.Hostname}} {{json .Config.Volumes}}")
        unnamed = json.loads(self.inspect(name, "{{json .Mounts}}"))
        [unnamed] = [m["Name"] for m in unnamed if m["Destination"] == "/unnamed"]
        count = 0
        for source, target in ((first, second), (second, first), (first, DEVICE), (DEVICE, second)):
            self.moves(name, source, target)
            self.assertEqual(self.place(name), target)
            self.assertIsNone(self.on_engine(source, name))
            self.assertFalse({volume, unnamed} & self.volumes(source), "the old copies are gone")
            eventually("nothing else is left", lambda: not any(
                v.startswith("lighter-layer-") for n in (FIRST, SECOND, DEVICE) for v in self.volumes(n)))
            self.assertLessEqual({volume, unnamed}, self.volumes(target))
            self.assertLessEqual({volume, unnamed}, set(self.docker("volume", "ls", "-q").out.split()))
            checked = self.docker("exec", name, "sh", "-c", "sha256sum -c /sum && cat /unnamed/a; ls /usr/bin/yes; "
                                  "stat -c '%u:%g %h %a' /made/x /made/y /made/deep; readlink /made/z; ls -l /made/fifo")
            self.assertEqual(checked.out.splitlines()[:6],
                             ["/data/large: OK", "a", "1234:99 2 644", "1234:99 2 644", "0:0 2 4750", "x"])
            self.assertIn("/usr/bin/yes", checked.err)
            self.assertEqual(os.getxattr(self.layer(target, name) / "made/x", "user.color"), b"red")
            now = self.assert_whole(name)
            self.assertGreater(now, count)
            count = now
            if target != DEVICE:
                self.assertEqual(self.inspect(name, "{{.Id}} {{.Name}} {{.Config.Image}} {{.Image}} {{.Config.Hostname}} "
                                              "{{json .Config.Volumes}}"), identity)
                shown = json.loads(self.docker("volume", "inspect", volume).out)[0]
                self.assertEqual(shown["Status"], {"lighter.node": target})
                self.assertNotIn("Mounts", json.loads(self.inspect(name, "{{json .HostConfig}}")))
                reader = self.name()
                self.docker("run", "--name", reader, "-v", f"{volume}:/data", "busybox", "head", "-n", "1", "/data/log")
                self.assertIsNotNone(self.on_engine(target, reader), "the volume draws its containers there")
                self.docker("rm", reader)
        self.docker("rm", "-f", name)
        self.docker("volume", "rm", volume)

    def test_what_cannot_travel_is_said_and_it_runs_on(self):
        name, mate, volume = self.name(), self.name(), self.volume()
        first = self.begun(name, "-v", f"{volume}:/data", "busybox", "sleep", "600")
        self.docker("run", "-d", "--init", "--name", mate, "-v", f"{volume}:/data", "busybox", "sleep", "600")
        code, _, err = self.move(name, self.other(first))
        self.assertEqual(code, 1)
        self.assertIn(f"volume {volume} is used by {mate}, too", err)
        short = self.name()
        where = self.begun(short, "--rm", "busybox", "sleep", "600")
        self.assertIn("--rm", self.move(short, self.other(where))[2])
        self.docker("rm", "-f", mate)
        second = self.other(first)
        self.engine(second, "volume", "create", "--label", "io.lighter.tenant=main", "--label", f"io.lighter.origin={DEVICE}",
                    f"{volume}.{DEVICE}", expect=0)
        self.assertIn(f"has a volume {volume} already", self.move(name, second)[2])
        self.engine(second, "volume", "rm", f"{volume}.{DEVICE}", expect=0)
        self.assertEqual(self.place(name), first)

    def test_one_that_does_not_run_moves_too(self):
        name, volume = self.name(), self.volume()
        first = self.begun(name, "-v", f"{volume}:/data", "busybox", "sh", "-c", "echo x >>/own; echo y >>/data/f; sleep 600")
        self.docker("stop", "-t", "0", name)
        second = self.other(first)
        self.assertNotIn("stopped for", self.moves(name, first, second))
        self.assertEqual(self.on_engine(second, name), "created")
        self.docker("start", name)
        self.assertEqual(self.docker("exec", name, "sh", "-c", "sleep 0.2; cat /own /data/f").out, "x\nx\ny\ny\n")

    def test_a_device_whose_daemon_dies_while_one_that_does_not_run_moves_has_it_in_one_place(self):
        for moment in ("its node has its volume", "its node has made it"):
            with self.subTest(moment):
                name, volume = self.name(), self.volume()
                first = self.begun(name, "-v", f"{volume}:/data", "busybox", "sh", "-c", "echo x >>/own; echo y >>/data/f; sleep 600")
                self.docker("stop", "-t", "0", name)
                full, second = self.inspect(name, "{{.Id}}"), self.other(first)
                process = self.command(name, second)
                there = {"its node has its volume": lambda: volume in self.volumes(second),
                         "its node has made it": lambda: self.on_engine(second, name) is not None}
                eventually(moment, there[moment], 30)
                self.fleet("daemon", DEVICE, "kill")
                process.communicate(timeout=60)
                self.fleet("daemon", DEVICE, "start")

                def places():
                    return [n for n in (first, second) if self.on_engine(n, name) is not None]
                eventually("it is in one place", lambda: len(places()) == 1, 60)
                self.assertEqual(self.inspect(name, "{{.Id}}"), full)
                self.assertNotIn("running", [self.on_engine(n, name) for n in (first, second)], "nobody has started it")
                eventually("it starts", lambda: self.docker("start", name, expect=None).code == 0, 30)
                self.assertEqual(self.docker("exec", name, "sh", "-c", "sleep 0.2; cat /own /data/f").out, "x\nx\ny\ny\n")
                eventually("its volume is where it is", lambda: [
                    n for n in (first, second) if volume in self.volumes(n)] == places(), 60)
                self.docker("rm", "-f", name)

    def under_way(self, rate="rate=20mbit"):
        """A container whose way takes long, and the node that it is on the way to."""
        name, volume = self.name(), self.volume()
        first = self.begun(name, "-v", f"{volume}:/data", "busybox", "sh", "-c", APPEND)
        second = self.other(first)
        self.docker("exec", name, "dd", "if=/dev/urandom", "of=/data/large", "bs=1M", "count=24")
        self.fleet("link", second, rate)
        self.addCleanup(command_output, FLEET, "link", second, "rate=0")
        pid = self.on_engine(first, name, "{{.State.Pid}}")
        process = self.command(name, second)
        eventually("it is on its way", lambda: volume in self.volumes(second) and any(
            f.stat().st_size for f in self.folder_of(second, volume).glob("l*")), 30)
        return name, volume, first, second, pid, process

    def assert_stayed(self, name, volume, first, second, pid, process):
        _, err = process.communicate(timeout=90)
        self.assertEqual(process.returncode, 1, err)
        self.assertIn(f"{name} stays at {first}", err)
        self.assertEqual(self.on_engine(first, name, "{{.State.Pid}}"), pid, "it never stopped")
        self.assert_whole(name)
        self.assertIn(volume, self.volumes(first))

    def test_a_target_that_dies_in_the_middle_costs_nothing(self):
        name, volume, first, second, pid, process = self.under_way()
        self.fleet("kill", second)
        self.assert_stayed(name, volume, first, second, pid, process)
        self.fleet("link", second, "rate=0")
        self.fleet("start", second)
        eventually("what had come is removed", lambda: not {
            v for v in self.volumes(second) if v == volume or v.startswith("lighter-layer-")}, 60)
        self.moves(name, first, second)
        self.assert_whole(name)

    def test_a_link_that_is_cut_in_the_middle_costs_nothing(self):
        name, volume, first, second, pid, process = self.under_way()
        self.fleet("cut", second)
        self.assert_stayed(name, volume, first, second, pid, process)
        self.fleet("link", second, "rate=0")
        self.fleet("heal", second)
        eventually("it goes then", lambda: self.move(name, second)[0] == 0, 60)
        self.assertEqual(self.place(name), second)
        self.assert_whole(name)

    def test_a_device_whose_daemon_dies_in_the_middle_clears_up(self):
        name, volume, first, second, pid, process = self.under_way()
        self.fleet("daemon", DEVICE, "kill")
        process.communicate(timeout=60)
        self.assertNotEqual(process.returncode, 0)
        self.fleet("link", second, "rate=0")
        self.fleet("daemon", DEVICE, "start")
        eventually("what had come is removed", lambda: not {
            v for v in self.volumes(second) if v == volume or v.startswith("lighter-layer-")}, 60)
        self.assertEqual(self.on_engine(first, name, "{{.State.Pid}}"), pid)
        self.moves(name, first, second)
        self.assert_whole(name)

    def block(self, name, node, image):
        """Takes the name that a container would have at a node."""
        self.docker("run", "--rm", "--label", f"lighter.target={node}", "busybox", "true")
        self.engine(node, "create", "--name", f"{name}.{DEVICE}", image, "true", expect=0)
        self.addCleanup(lambda: self.engine(node, "rm", "-f", f"{name}.{DEVICE}"))

    def stopping(self):
        """A container on its way that takes ten seconds to stop, and is being stopped."""
        name, volume = self.name(), self.volume()
        first = self.begun(name, "-v", f"{volume}:/data", "busybox", "sh", "-c", f"trap 'touch /stopping' TERM; {APPEND}")
        process = self.command(name, self.other(first))
        eventually("it is being stopped", (self.layer(first, name) / "stopping").exists, 30)
        return name, volume, first, self.other(first), process

    def test_a_device_whose_daemon_dies_while_it_is_stopped_has_it_go_on(self):
        name, volume, first, second, process = self.stopping()
        self.fleet("daemon", DEVICE, "kill")
        process.communicate(timeout=60)
        eventually("it has stopped", lambda: self.on_engine(first, name) == "exited", 20)
        self.fleet("daemon", DEVICE, "start")
        eventually("it runs again", lambda: self.on_engine(first, name) == "running", 30)
        eventually("what had come is removed", lambda: volume not in self.volumes(second), 60)
        self.assert_whole(name)

    def restarted_while_stopping(self):
        """The same, whose device's daemon has been started anew meanwhile; and where it is."""
        name, _, first, _, process = self.stopping()
        self.fleet("daemon", DEVICE, "kill")
        self.fleet("daemon", DEVICE, "start")
        process.communicate(timeout=60)
        return name, first

    def test_a_device_whose_daemon_starts_anew_while_it_is_being_stopped_has_it_go_on(self):
        name, first = self.restarted_while_stopping()
        eventually("it has stopped", lambda: self.on_engine(first, name) == "exited", 20)
        eventually("it runs again", lambda: self.on_engine(first, name) == "running", 30)
        self.assert_whole(name)

    def test_what_its_user_stops_after_a_move_that_failed_stays_so(self):
        name, first = self.restarted_while_stopping()
        self.docker("stop", name)
        time.sleep(5)
        self.assertEqual(self.on_engine(first, name), "exited")

    def test_a_gateway_that_is_away_for_a_while_is_waited_for(self):
        name, _, first, second, process = self.stopping()
        self.fleet("gateway", "kill")
        eventually("it has stopped", lambda: self.on_engine(first, name) == "exited", 20)
        time.sleep(1)
        self.fleet("gateway", "start")
        out, err = process.communicate(timeout=90)
        self.assertEqual(process.returncode, 0, err)
        print("   ", out.strip(), flush=True)
        self.assertEqual(self.place(name), second)
        self.assert_whole(name)

    def test_a_node_that_is_cut_off_while_it_is_stopped_starts_it_when_it_is_back(self):
        name, volume, first, second, process = self.stopping()
        self.fleet("cut", first)
        _, err = process.communicate(timeout=90)
        self.assertEqual(process.returncode, 1, err)
        self.fleet("heal", first)
        eventually("it runs again", lambda: self.on_engine(first, name) == "running", 60)
        self.assert_whole(name)

    def test_where_it_cannot_be_made_it_is_begun_again_where_it_was(self):
        name, volume = self.name(), self.volume()
        first = self.begun(name, "-v", f"{volume}:/data", "-v", "/unnamed", "busybox", "sh", "-c", APPEND)
        second = self.other(first)
        self.docker("exec", name, "sh", "-c", "echo kept >/mine; echo kept >/unnamed/f; rm /usr/bin/yes")
        full = self.inspect(name, "{{.Id}}")
        self.block(name, second, self.on_engine(first, name, "{{.Image}}"))
        code, _, err = self.move(name, second)
        self.assertEqual(code, 1)
        self.assertRegex(err, f"{name} stays at {first}: .*(in use|Conflict)")
        eventually("it runs", lambda: self.on_engine(first, name) == "running")
        self.assertEqual(self.inspect(name, "{{.Id}} {{.State.Status}}"), f"{full} running")
        self.assertEqual(self.docker("exec", name, "cat", "/mine", "/unnamed/f").out, "kept\nkept\n")
        self.docker("exec", name, "ls", "/usr/bin/yes", expect=1)
        self.assert_whole(name)
        eventually("nothing else is left", lambda: not {
            v for n in (FIRST, SECOND) for v in self.volumes(n) if v.startswith("lighter-layer-")} and volume not in self.volumes(second))
        self.engine(second, "rm", "-f", f"{name}.{DEVICE}", expect=0)
        self.moves(name, first, second)
        self.assertEqual(self.docker("exec", name, "cat", "/mine", "/unnamed/f").out, "kept\nkept\n")
        self.assert_whole(name)

    def test_one_of_the_device_itself_leaves_it_and_is_the_same(self):
        name, volume = self.name(), self.volume()
        self.docker("run", "-d", "--init", "--name", name, "--label", "lighter.policy=local", "-p", "18090:80", "-v",
                    f"{volume}:/data", "-v", "/unnamed", "busybox", "sh", "-c", f"httpd -p 80 -h /data; {APPEND}")
        self.assertEqual(self.place(name), DEVICE)
        self.docker("exec", name, "sh", "-c", "echo kept >/mine; echo kept >/unnamed/f; rm /usr/bin/yes; echo page >/data/index.html")
        full = self.inspect(name, "{{.Id}} {{.Config.Hostname}} {{.Config.Image}}")
        self.moves(name, DEVICE, FIRST)
        self.assertEqual(self.place(name), FIRST)
        self.assertIsNone(self.on_engine(DEVICE, name))
        self.assertNotIn(volume, self.volumes(DEVICE))
        self.assertEqual(self.inspect(name, "{{.Id}} {{.Config.Hostname}} {{.Config.Image}}"), full)
        self.assertEqual(self.docker("ps", "-aq", "--no-trunc", "--filter", f"name={name}").out.split(), [full.split()[0]])
        self.assertEqual(self.docker("exec", full[:12], "cat", "/mine", "/unnamed/f").out, "kept\nkept\n")
        self.assertEqual(self.fleet("exec", DEVICE, "wget", "-qO-", "http://localhost:18090/").line, "page")
        self.docker("exec", name, "ls", "/usr/bin/yes", expect=1)
        self.assert_whole(name)
        self.block(name, SECOND, self.on_engine(FIRST, name, "{{.Image}}"))
        self.moves(name, FIRST, DEVICE)
        code, _, err = self.move(name, SECOND)
        self.assertEqual(code, 1)
        self.assertIn(f"{name} stays at {DEVICE}", err)
        self.assertEqual(self.place(name), DEVICE)
        self.assertEqual(self.inspect(name, "{{.Id}} {{.Config.Hostname}} {{.Config.Image}}"), full)
        self.assert_whole(name)
        self.engine(SECOND, "rm", "-f", f"{name}.{DEVICE}", expect=0)
        self.moves(name, DEVICE, SECOND)
        self.assertEqual(self.docker("exec", full[:12], "cat", "/mine", "/unnamed/f").out, "kept\nkept\n")
        self.assert_whole(name)

    def test_what_it_was_is_not_started_by_an_engine_that_starts_meanwhile(self):
        for source, policy in ((FIRST, "always"), (DEVICE, "on-failure:3")):
            with self.subTest(source=source):
                folder = self.scratch()
                (folder / "large").write_bytes(os.urandom(20_000_000))
                name, volume = self.name(), self.volume()
                where = ("--label", "lighter.policy=local") if source == DEVICE else ("--label", f"lighter.target={source}")
                self.docker("run", "-d", "--init", "--name", name, "--restart", policy, *where, "-v", f"{volume}:/data",
                            "-v", f"{folder}:/in", "busybox", "sh", "-c", APPEND)
                target = SECOND
                # What is mounted follows when it has been made there, which is after the gateway has given it away.
                self.fleet("link", target, "rate=20mbit")
                process = self.command(name, target)
                made = eventually("it has been made there", lambda: process.poll() is not None
                                  or self.on_engine(target, name) == "created", 60)
                self.assertIsNone(process.poll(), made and process.communicate())
                self.fleet("stop", source)
                since = time.time()
                self.fleet("start", "--soon", source)
                engine = eventually("its engine is back", lambda: self.engine(source, "version", expect=None).code == 0, 30)
                self.assertTrue(engine)
                out, err = process.communicate(timeout=120)
                self.assertEqual(process.returncode, 0, err)
                self.assertEqual(self.place(name), target)
                started = self.engine(source, "events", "--since", f"{since:.3f}", "--until", f"{time.time():.3f}",
                                      "--filter", "event=start", "--format", "{{.Actor.Attributes.name}}", expect=0)
                self.assertNotIn(name, [n.removesuffix(f".{DEVICE}") for n in started.out.split()])
                self.assert_whole(name)
                self.assertEqual(self.on_engine(target, name, "{{.HostConfig.RestartPolicy.Name}}"), policy.split(":")[0])
                found = self.docker("exec", name, "sh", "-c", "wc -c </in/large; echo heard >/in/answer")
                self.assertEqual(found.line, "20000000")
                eventually("what it writes is here", lambda: (folder / "answer").exists()
                           and (folder / "answer").read_text() == "heard\n", 20)
                eventually("what it was is gone", lambda: self.on_engine(source, name) is None, 30)
                self.fleet("link", target, "rate=0")

    def test_what_it_left_on_the_device_is_removed_when_the_engine_is_back_though_the_daemon_was_not_there(self):
        name, volume, folder = self.name(), self.volume(), self.scratch()
        (folder / "large").write_bytes(os.urandom(10_000_000))
        self.docker("run", "-d", "--init", "--name", name, "--label", "lighter.policy=local", "-v", f"{volume}:/data", "-v",
                    f"{folder}:/in", "busybox", "sh", "-c", APPEND)
        self.fleet("link", SECOND, "rate=20mbit")
        process = self.command(name, SECOND)
        eventually("it has been made there", lambda: self.on_engine(SECOND, name) == "created", 60)
        self.fleet("stop", DEVICE)
        _, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, err)
        self.fleet("daemon", DEVICE, "kill")
        self.fleet("start", "--soon", DEVICE)
        eventually("what it was is gone", lambda: name not in self.engine(
            DEVICE, "ps", "-a", "--format", "{{.Names}}", expect=0).out.split(), 40)
        eventually("it runs there", lambda: self.place(name) == SECOND, 30)
        self.assert_whole(name)
        self.fleet("link", SECOND, "rate=0")

    def test_what_stays_has_the_restart_policy_that_it_had(self):
        name, volume = self.name(), self.volume()
        self.docker("run", "-d", "--init", "--name", name, "--restart", "on-failure:3", "--label", "lighter.policy=local", "-v",
                    f"{volume}:/data", "busybox", "sh", "-c", APPEND)
        self.block(name, FIRST, self.on_engine(DEVICE, name, "{{.Image}}"))
        code, _, err = self.move(name, FIRST)
        self.assertEqual(code, 1)
        self.assertIn(f"{name} stays at {DEVICE}", err)
        self.assertEqual(self.inspect(name, "{{.HostConfig.RestartPolicy}} {{.State.Status}}"), "{on-failure 3} running")

    def test_an_emptied_volume_stays_empty(self):
        name, volume = self.name(), self.volume()
        first = self.begun(name, "-v", f"{volume}:/usr/bin", "busybox", "sleep", "600")
        self.assertNotEqual(self.docker("exec", name, "ls", "/usr/bin").out, "")
        self.docker("exec", name, "sh", "-c", "/bin/busybox rm -r /usr/bin/*")
        self.moves(name, first, self.other(first))
        self.assertEqual(self.docker("exec", name, "ls", "/usr/bin").out, "")

    def test_exclusive_work_moves_too_and_its_streams_go_on(self):
        name = self.name()
        first = self.begun(name, "--restart", "always", "-v", "/unnamed", "-p", "18091:80", "busybox", "sh", "-c",
                           "echo begun; httpd -p 80 -h /unnamed; i=0; while true; do i=$((i+1)); echo $i; usleep 100000; done")
        second = self.other(first)
        self.docker("exec", name, "sh", "-c", "echo page >/unnamed/index.html; echo kept >/mine")
        logs = self.start("logs", "-f", name, stdin=subprocess.DEVNULL)
        for source, target in ((first, second), (second, first)):
            self.moves(name, source, target)
            self.assertEqual(self.fleet("exec", DEVICE, "wget", "-qO-", "http://localhost:18091/").line, "page")
            self.assertEqual(self.docker("exec", name, "cat", "/mine").line, "kept")
        self.docker("rm", "-f", "-v", name)
        self.assertEqual(logs.communicate(timeout=60)[0].decode().count("begun"), 3)

    def test_who_is_attached_over_a_websocket_hears_it_go_on(self):
        name = self.name()
        first = self.begun(name, "busybox", "sh", "-c", "i=0; while true; do i=$((i+1)); echo $i; usleep 100000; done")
        connection = self.connection()
        connection.connect()
        connection.sock.sendall(
            f"GET /v1.41/containers/{name}/attach/ws?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\nOrigin: http://d\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        stream = connection.sock.makefile("rb")
        self.assertIn(b" 101 ", stream.readline())
        while stream.readline() != b"\r\n":
            pass

        def word():
            kind, length = stream.read(2)
            self.assertIn(kind & 0x0f, (1, 2), "nothing but text and bytes")
            if length == 126:
                length = int.from_bytes(stream.read(2), "big")
            return stream.read(length).decode()

        def count(enough):
            heard = []
            while len(heard) < enough:
                heard += map(int, word().split())
            return heard

        before = count(5)
        self.assertEqual(before, list(range(before[0], before[0] + len(before))))
        self.moves(name, first, self.other(first))
        after = count(before[-1])
        while 1 not in after:
            after = count(5)
        again = after[after.index(1):] + count(5)
        self.assertEqual(again, list(range(1, len(again) + 1)), "some of it was repeated, or lost")

    def test_unnamed_volumes_still_go_with_it(self):
        name = self.name()
        first = self.begun(name, "-v", "/unnamed", "busybox", "sleep", "600")
        second = self.other(first)
        volume = json.loads(self.inspect(name, "{{json .Mounts}}"))[0]["Name"]
        self.moves(name, first, second)
        self.assertIn(volume, self.volumes(second))
        self.docker("rm", "-f", "-v", name)
        eventually("it is gone", lambda: volume not in self.volumes(second))
        self.assertNotIn(volume, self.docker("volume", "ls", "-q").out)
