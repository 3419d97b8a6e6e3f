"""A fleet of a test module's own, whose nodes have different engines, and what any user does on it."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from fixture import PATIENCE, REPO, TESTBED, Case, command_output, eventually, exports

GATEWAY_PORT, NODE_PORT = 7800, 7801


def answers(path):
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.settimeout(2)
            s.connect(str(path))
            s.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in s.recv(64)
        except OSError:
            return False


def listens(host, port):
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False


class Fleet:
    """Nodes of the test bed, by name with their settings; a daemon on each, a gateway beside the first."""

    def __init__(self, settings):
        self.processes = []
        # What an earlier run left behind when it was interrupted.
        subprocess.run([TESTBED, "down", *settings], capture_output=True)
        command_output(TESTBED, "up", *(f"{name}:{more}" for name, more in settings.items()), timeout=120)
        self.nodes = {name: exports(command_output(TESTBED, "env", name)) for name in settings}
        self.first = next(iter(self.nodes))
        self.folders = {name: Path(env["DOCKER_HOST"].removeprefix("unix://")).parent
                        for name, env in self.nodes.items()}
        self.engines = {name: folder / "docker.sock" for name, folder in self.folders.items()}
        self.programs = self.folders[self.first] / "programs"
        shutil.copytree(Path(os.environ.get("LIGHTER_BIN") or REPO / ".build" / "release"), self.programs,
                        ignore=lambda _, found: set(found) - {"lighterd", "lighter", "lighter-gateway"})

    def start_fleet(self, *options):
        """Options: of every lighterd."""
        data = self.folders[self.first] / "gateway"
        gateway = f"{self.nodes[self.first]['ADDR']}:{GATEWAY_PORT}"
        self.run(self.first, "lighter-gateway", "init", "--data", data, "--fleet", "engines")
        self.start(self.first, self.programs / "lighter-gateway", "--data", data, "--listen", gateway, "--advertise",
                   gateway, "--policy", "remote")
        eventually("the gateway listens", lambda: listens(self.nodes[self.first]["ADDR"], GATEWAY_PORT))
        self.operator = {**os.environ, "LIGHTER_GATEWAY": gateway, "LIGHTER_CREDENTIALS": str(data / "operator")}
        self.front_doors = {}
        for name, env in self.nodes.items():
            state, listen = self.folders[name] / "lighter", f"{env['ADDR']}:{NODE_PORT}"
            token = self.run(self.first, "lighter-gateway", "token", "--data", data).strip()
            self.run(name, "lighter", "join", gateway, "--token", token, "--name", name, "--state", state, "--listen",
                     listen, "--advertise", listen, "--no-start")
            self.start(name, self.programs / "lighterd", "--state", state, "--engine", f"unix://{self.engines[name]}",
                       "--socket", state / "docker.sock", "--group", "root", "--cgroup", env["CGROUP"],
                       "--listen", listen, "--advertise", listen, *options)
            self.front_doors[name] = state / "docker.sock"
        self.wait_until_ready()
        for door in self.front_doors.values():
            eventually("a front door answers", lambda door=door: answers(door))

    def wait_until_ready(self):
        ready = ["ready"] * len(self.nodes)
        eventually("all nodes are ready", lambda: [n["state"] for n in self.listed("nodes")] == ready)

    def run(self, node, program, *args):
        return command_output(TESTBED, "exec", node, self.programs / program, *args)

    def log(self, node):
        """What the daemons on the node have said."""
        return (self.folders[node] / "fleet-test.log").read_text()

    def start(self, node, *command, outside=False):
        where = [] if outside else [TESTBED, "exec", node]
        with open(self.folders[node] / "fleet-test.log", "ab") as log:
            process = subprocess.Popen([str(c) for c in [*where, *command]], stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, start_new_session=True)
        self.processes.append(process)
        return process

    def listed(self, *args):
        done = subprocess.run([self.programs / "lighter", *args, "--format", "json"], env=self.operator, text=True,
                              capture_output=True, timeout=10)
        return json.loads(done.stdout) if done.returncode == 0 else []

    def end(self):
        for process in reversed(self.processes):
            process.terminate()
        command_output(TESTBED, "down", *self.nodes)
        for process in self.processes:
            process.wait()


class Device(Case):
    """Docker commands on `device`, with containers that run at `target`."""

    fleet = device = target = None  # the first is for the module to set

    @classmethod
    def setUpClass(cls):
        doors, engines = ({name: f"unix://{path}" for name, path in paths.items()}
                          for paths in (Device.fleet.front_doors, Device.fleet.engines))
        # The fixture's device is `edge1`.
        cls.world = SimpleNamespace(front_doors={**doors, "edge1": doors[cls.device]}, engines=engines)

    def run_(self, *args, **options):
        return self.docker("run", "--label", f"lighter.target={self.target}", *args, **options)

    def service(self, *args, command=("sleep", "600"), image="busybox"):
        name = self.name()
        self.run_("-d", "--name", name, *args, image, *command)
        return name

    def on_device(self, *command):
        return subprocess.run([str(c) for c in [TESTBED, "exec", self.device, *command]], text=True,
                              capture_output=True, timeout=PATIENCE)

    def workload(self, name):
        return next((w for w in Device.fleet.listed("ps", "--all") if w["name"] == name), None)


class Placed(Device):
    """What a user does, for the classes of those modules that name a device and a target."""

    def test_runs_where_it_was_asked_to(self):
        name = self.service()
        here = {e: self.docker("ps", "--format", "{{.Names}}", at=e, engine=True).out for e in Device.fleet.nodes}
        shown = name if self.target == self.device else f"{name}.{self.device}"
        self.assertIn(shown, here[self.target].split())
        if self.target != self.device:
            self.assertNotIn(name, here[self.device])
        eventually("the fleet sees it run", lambda: (self.workload(name) or {}).get("state") == "running")

    def test_exit_codes_also_with_rm(self):
        for code in (0, 3, 125, 255):
            with self.subTest(code=code):
                self.run_("--rm", "busybox", "sh", "-c", f"exit {code}", expect=code)
        self.run_("--name", self.name(), "busybox", "sh", "-c", "exit 4", expect=4)

    def test_streams_are_kept_apart(self):
        done = self.run_("--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
        self.assertEqual((done.out, done.err), ("out\n", "err\n"))

    def test_standard_input_reaches_the_end(self):
        text = "line\n" * 20000
        done = self.run_("-i", "--rm", "busybox", "sh", "-c", "cat; exit 5", input=text, expect=5)
        self.assertEqual(done.out, text)

    def test_a_terminal_follows_its_window(self):
        terminal = self.terminal("run", "-it", "--rm", "--label", f"lighter.target={self.target}", "busybox", "sh")
        terminal.read_until("# ")
        rows = iter(range(31, 1000))
        # docker may not listen to its window yet when the prompt is there.
        eventually("the size is the window's", lambda: self.follows(terminal, next(rows)))
        terminal.send("exit 6\n")
        self.assertEqual(terminal.wait(), 6)

    @staticmethod
    def follows(terminal, rows):
        terminal.resize(rows, 81)
        terminal.send("stty size; echo done\n")
        return f"\n{rows} 81" in terminal.read_until(r"\ndone\r")

    def test_exec(self):
        name = self.service()
        self.assertEqual(self.docker("exec", name, "sh", "-c", "echo x; exit 7", expect=7).out, "x\n")
        self.assertEqual(self.docker("exec", "-i", name, "cat", input="through").out, "through")

    def test_logs(self):
        name = self.name()
        self.run_("--name", name, "busybox", "sh", "-c", "echo one; echo two >&2")
        logs = self.docker("logs", name)
        self.assertEqual((logs.out, logs.err), ("one\n", "two\n"))
        self.assertEqual(self.docker("logs", "--tail", "0", name).out, "")

    def test_files_are_copied_both_ways(self):
        name = self.service()
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "in")
            source.write_text("content")
            self.docker("cp", source, f"{name}:/root/there")
            self.docker("cp", f"{name}:/root/there", f"{folder}/back")
            self.assertEqual(Path(folder, "back").read_text(), "content")

    def test_lists_and_inspections_show_the_device_s_names(self):
        name = self.service("--label", f"of={self.tag}")
        self.assertEqual(self.docker("ps", "-q", "--no-trunc", "--filter", f"name={name}").line,
                         self.inspect(name, "{{.Id}}"))
        self.assertEqual(self.names("--filter", f"label=of={self.tag}"), {name})
        self.assertEqual(self.names("--filter", f"label=of={self.tag}", "--filter", "label=of=another"), set())
        self.assertEqual(self.inspect(name, "{{.Name}} {{.State.Status}}"), f"/{name} running")
        if self.target != self.device:
            self.assertIn(name, self.names("--filter", "ancestor=busybox"))
            self.assertEqual(self.docker("stats", "--no-stream", "--format", "{{.Name}}", name).line, name)

    def test_the_life_of_a_container(self):
        name = self.service()
        for verb, state in (("pause", "paused"), ("unpause", "running"), ("stop", "exited"), ("start", "running"),
                            ("restart", "running"), ("kill", "exited")):
            self.docker(verb, *(["-t", "0"] if verb in ("stop", "restart") else []), name)
            with self.subTest(verb=verb):
                eventually(f"{name} is {state}", lambda: self.state(name) == state)
        self.assertEqual(self.docker("wait", name).line, "137")
        self.docker("rename", name, f"{name}-new")
        self.docker("rm", f"{name}-new")
        self.assertEqual(self.docker("ps", "-aq", "--filter", f"name={name}").line, "")

    def test_a_name_is_taken_once(self):
        name = self.service()
        self.assertIn("is already in use by container", self.run_("-d", "--name", name, "busybox", expect=125).err)

    def test_what_is_removed_is_removed_in_the_fleet_s_view(self):
        name = self.service()
        eventually("it runs", lambda: (self.workload(name) or {}).get("state") == "running")
        self.docker("rm", "-f", name)
        eventually("it is gone", lambda: (self.workload(name) or {"state": "removed"})["state"] == "removed")

    def test_events_are_docker_s(self):
        # What happens before the stream stands comes with what has been.
        actions = ("start", "die", "destroy")
        wanted = [f"label=of={self.tag}", *(f"event={action}" for action in actions)]
        events = self.start("events", "--since", str(int(time.time())), *(f"--filter={w}" for w in wanted),
                            "--format", "{{.Action}} {{.Actor.Attributes.name}}", text=True)
        name = self.name()
        self.run_("--name", name, "--rm", "--label", f"of={self.tag}", "busybox", "sh", "-c", "exit 2", expect=2)
        self.assertEqual([events.stdout.readline().strip() for _ in actions], [f"{a} {name}" for a in actions])

    def test_a_published_port(self):
        name = self.service("-p", "127.0.0.1:18080:8080", image="testbed/web", command=())
        self.assertIn("127.0.0.1:18080", self.docker("port", name, "8080/tcp").out)
        fetch = ("/usr/bin/python3", "-c",
                 "import urllib.request as u; print(u.urlopen('http://127.0.0.1:18080/', timeout=5).read())")
        eventually("the port answers", lambda: "testbed web" in self.on_device(*fetch).stdout)
        self.docker("rm", "-f", name)
        self.assertNotEqual(self.on_device(*fetch).returncode, 0)

    def test_a_bind_mount(self):
        # Below the node's own folder, which no other node's files hide.
        folder = Path(tempfile.mkdtemp(dir=Device.fleet.folders[self.device]))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        (folder / "in").write_text("from the device")
        done = self.run_("--rm", "-v", f"{folder}:/data", "busybox", "sh", "-c", "cat /data/in; echo back > /data/out")
        self.assertEqual(done.out, "from the device")
        self.assertEqual((folder / "out").read_text(), "back\n")

    def test_a_named_volume(self):
        volume = f"{self.tag}-volume"
        self.addCleanup(lambda: self.docker("volume", "rm", "-f", volume, expect=None))
        self.run_("--rm", "-v", f"{volume}:/data", "busybox", "sh", "-c", "echo kept > /data/file")
        self.assertEqual(self.run_("--rm", "-v", f"{volume}:/data", "busybox", "cat", "/data/file").line, "kept")
        self.assertIn(volume, self.docker("volume", "ls", "-q").out.split())
        eventually("the volume can be removed", lambda: self.docker("volume", "rm", volume, expect=None).code == 0)
        self.assertNotIn(volume, self.docker("volume", "ls", "-q").out.split())

    def test_a_network_with_names(self):
        network = f"{self.tag}-net"
        self.docker("network", "create", network)
        self.addCleanup(lambda: self.docker("network", "rm", network, expect=None))
        server = self.service("--network", network, image="testbed/web", command=())
        fetch = ("--rm", "--network", network, "busybox", "wget", "-qO-", f"http://{server}:8080/")
        eventually("the name resolves", lambda: "testbed web" in self.run_(*fetch, expect=None).out)
        shown = json.loads(self.docker("network", "inspect", network).out)[0]
        self.assertEqual([c["Name"] for c in shown["Containers"].values()], [server])
        if self.target != self.device:
            settings = json.loads(self.inspect(server, "{{json .NetworkSettings.Networks}}"))
            self.assertEqual({name: s["NetworkID"] for name, s in settings.items()}, {network: shown["Id"]})
        self.docker("rm", "-f", server)
        self.docker("network", "rm", network)
        self.assertNotIn(network, self.docker("network", "ls", "--format", "{{.Name}}").out.split())

    def test_an_image_of_several_layers(self):
        self.assertEqual(self.run_("--rm", "testbed/layers").line, "v1")

    def test_a_commit_comes_home(self):
        name, image = self.name(), f"{self.tag}:1"
        self.run_("--name", name, "busybox", "touch", "/made")
        self.docker("commit", name, image)
        self.addCleanup(lambda: self.docker("rmi", "-f", image, expect=None))
        self.assertEqual(self.run_("--rm", image, "ls", "/made").line, "/made")

    def test_limits_hold(self):
        limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null"
        self.assertEqual(self.run_("--rm", "--memory", "64m", "busybox", "sh", "-c", f"{limit} || true").line,
                         str(64 << 20))
