"""What every end-to-end test stands on: the fleet, the docker client, names, clean-up, terminals."""

import errno
import fcntl
import http.client
import json
import os
import pty
import re
import secrets
import select
import shlex
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import time
import unittest
from pathlib import Path
from types import SimpleNamespace

REPO = Path(__file__).resolve().parents[2]
TESTBED, FLEET = REPO / "Testbed" / "testbed", REPO / "Testbed" / "fleet"
PLAIN = os.environ.get("LIGHTER_E2E_PLAIN") == "1"
POLICY = os.environ.get("LIGHTER_E2E_POLICY", "remote")  # the fleet's: remote or local
# What users' commands go to: the device, or with PLAIN an engine of this name on the test bed.
DEVICE = os.environ.get("LIGHTER_E2E_NODE", "edge1") if PLAIN else "edge1"
PATIENCE = float(os.environ.get("LIGHTER_E2E_PATIENCE", "60"))  # seconds that one docker command may take

lighter_only = unittest.skipIf(PLAIN, "a plain engine has nothing of this")
# Where a container goes that is free to go.
AWAY = "cloud1" if POLICY == "remote" and not PLAIN else "edge1"
# A difference that docs/compatibility.md tells of.
not_elsewhere = unittest.skipIf(AWAY != "edge1", "documented: containers elsewhere differ in this")
remote_only = unittest.skipIf(PLAIN or POLICY != "remote", "it is about containers that run elsewhere")


def command_output(*command, timeout=300):
    done = subprocess.run([str(c) for c in command], text=True, capture_output=True, timeout=timeout)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def exports(text):
    """'export A=b' lines as a dict."""
    return dict(line.removeprefix("export ").split("=", 1) for line in text.splitlines() if "=" in line)


class World:
    """The fleet that the whole run shares; made at the first use."""

    def __init__(self):
        if PLAIN:
            command_output(TESTBED, "up", DEVICE)
            command_output(TESTBED, "images", DEVICE)
            edge = exports(command_output(TESTBED, "env", DEVICE))
            self.engines = {"edge1": edge["DOCKER_HOST"], "cloud1": edge["DOCKER_HOST"]}
            self.front_doors = self.engines
            return
        command_output(FLEET, "up", "--policy", POLICY, timeout=600)
        found = {n: exports(command_output(FLEET, "env", n)) for n in ("edge1", "cloud1")}
        self.engines = {n: e["ENGINE_HOST"] for n, e in found.items()}
        self.front_doors = {n: e["DOCKER_HOST"] for n, e in found.items()}
        self.addresses = {n: e["ADDR"] for n, e in found.items()}
        self.gateway = found["edge1"]["LIGHTER_GATEWAY"]
        self.credentials = found["edge1"]["LIGHTER_CREDENTIALS"]

    _shared = None

    @classmethod
    def shared(cls):
        """The one world; a failure to make it is remembered, so that not every class tries again for a minute."""
        if cls._shared is None:
            try:
                cls._shared = cls()
            except (RuntimeError, OSError, subprocess.SubprocessError) as e:
                cls._shared = e
        if isinstance(cls._shared, Exception):
            raise cls._shared
        return cls._shared


class OwnFleet(World):
    """A fleet beside that of the other tests; its first node of `names` is the device, `edge1` to all that tests share."""

    def __init__(self, fleet, names, *specs):
        os.environ["TESTBED_FLEET"] = fleet
        command_output(FLEET, "up", "--policy", "remote", *specs, timeout=600)
        found = {n: exports(command_output(FLEET, "env", n)) for n in names}
        found["edge1"] = found[names[0]]
        self.engines = {n: e["ENGINE_HOST"] for n, e in found.items()}
        self.front_doors = {n: e["DOCKER_HOST"] for n, e in found.items()}
        self.gateway = found["edge1"]["LIGHTER_GATEWAY"]
        self.credentials = found["edge1"]["LIGHTER_CREDENTIALS"]


def environment(host):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")}
    return {**kept, "DOCKER_HOST": host, "TERM": "xterm"}


def eventually(what, check, seconds=15):
    """Waits until check() is true and returns what it returned; asks every 50 ms."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        select.select([], [], [], 0.05)


class Case(unittest.TestCase):
    """A test with names of its own, and everything it made removed in reverse order."""

    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.world = World.shared()

    def setUp(self):
        self.tag = f"e2e-{secrets.token_hex(4)}"
        self.count = 0
        self.unremoved = []
        self.addCleanup(self.sweep)

    # ------------------------------------------------------------- docker

    def docker(self, *args, input=None, expect=0, timeout=None, text=True, at="edge1", engine=False):
        """Runs the docker client to its end. `expect`: the exit code that the test stands on, or None for any."""
        host = (self.world.engines if engine else self.world.front_doors)[at]
        done = subprocess.run(["docker", *map(str, args)], input=input, text=text, capture_output=True,
                              timeout=timeout or PATIENCE, env=environment(host))
        if expect is not None and done.returncode != expect:
            out, err = (x if text else x[-500:].decode(errors="replace") for x in (done.stdout, done.stderr))
            self.fail(f"docker {shlex.join(map(str, args))}: exit code {done.returncode}, not {expect}\n"
                      f"stdout: {out[-1000:]}\nstderr: {err[-1000:]}")
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr,
                               line=done.stdout.strip() if text else None)

    def start(self, *args, **options):
        """Starts the docker client and returns the process, which the test's end kills if it still runs."""
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen(["docker", *map(str, args)],
                                   env=environment(self.world.front_doors["edge1"]), **options)
        self.addCleanup(self.reap, process)
        return process

    @staticmethod
    def reap(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass

    def terminal(self, *args, rows=24, columns=80):
        terminal = Terminal(["docker", *map(str, args)], environment(self.world.front_doors["edge1"]), rows, columns)
        self.addCleanup(terminal.close)
        return terminal

    def name(self):
        """A fresh container name; whatever bears it at the end is removed."""
        self.count += 1
        name = f"{self.tag}-{self.count}"
        self.addCleanup(self.remove, name)
        return name

    def remove(self, name):
        """Removes a container of the test's; `sweep` tries again when what the test broke has been mended."""
        if self.removal_error(name):
            self.unremoved.append(name)

    def sweep(self):
        """The last of all that is cleaned up."""
        for name in self.unremoved:
            if error := self.removal_error(name):
                print(f"left  {name} by {self.id()}: {error}", flush=True)

    def removal_error(self, name):
        done = self.docker("rm", "-f", "-v", name, expect=None)
        return done.err.strip() if done.code and "No such container" not in done.err else ""

    def service(self, *args, command=("sleep", "600")):
        """A container in the background: its name."""
        name = self.name()
        self.docker("run", "-d", "--name", name, *args, "busybox", *command)
        return name

    def shell(self, script, *args, expect=0):
        """What a container that runs this shell script, and is removed then, prints and returns."""
        return self.docker("run", "--rm", *args, "busybox", "sh", "-c", script, expect=expect)

    def network(self, *args):
        """A fresh user-defined network: its name."""
        self.count += 1
        name = f"{self.tag}-n{self.count}"
        self.addCleanup(lambda: self.docker("network", "rm", name, expect=None))
        self.docker("network", "create", *args, name)
        return name

    def volume(self, *args):
        """A fresh named volume: its name."""
        self.count += 1
        name = f"{self.tag}-v{self.count}"
        self.addCleanup(lambda: self.docker("volume", "rm", "-f", name, expect=None))
        self.docker("volume", "create", *args, name)
        return name

    def image(self):
        """A fresh image name; whatever bears it at the end is removed."""
        self.count += 1
        name = f"{self.tag}:{self.count}"
        self.addCleanup(lambda: self.docker("rmi", "-f", name, expect=None))
        return name

    def folder(self):
        """A folder of the device, gone at the test's end. A target has a /tmp of its own."""
        folder = tempfile.TemporaryDirectory(prefix="e2e-", dir="/tmp", ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def connection(self):
        """A connection to the Engine API, for what no client shows."""
        connection = UnixConnection(self.world.front_doors["edge1"].removeprefix("unix://"))
        self.addCleanup(connection.close)
        return connection

    def call(self, method, path, body=None):
        """A request of the Engine API, without a client: the status, and the body or what it says of an error."""
        connection = self.connection()
        connection.request(method, f"/v1.41{path}", None if body is None else json.dumps(body),
                           {"Content-Type": "application/json"} if body is not None else {})
        answer = connection.getresponse()
        text = answer.read().decode()
        is_error = answer.status >= 400 and answer.getheader("Content-Type", "").startswith("application/json")
        return answer.status, json.loads(text)["message"] if is_error else text

    @staticmethod
    def now():
        """The time as `docker events` takes it."""
        return f"{time.time():.9f}"

    def inspect(self, ref, template):
        return self.docker("inspect", "--format", template, ref).line

    def state(self, ref):
        return self.inspect(ref, "{{.State.Status}}")

    def names(self, *args):
        """The names that `docker ps` lists."""
        return set(self.docker("ps", "--format", "{{.Names}}", *args).out.split())

    # ---------------------------------------------------------- placement

    def whereabouts(self, name):
        """The nodes whose engines hold a container of this name (an offloaded one is NAME.ORIGIN there)."""
        found = set()
        for node in ("edge1", "cloud1"):
            held = self.docker("ps", "-a", "--format", "{{.Names}}", at=node, engine=True).out.split()
            if name in held or f"{name}.edge1" in held:
                found.add(node)
        return found

    def assert_at(self, node, name):
        """The container is at this node and nowhere else; under the policy local, all are on the device."""
        if not PLAIN:
            self.assertEqual(self.whereabouts(name), {AWAY if node == "cloud1" else node})

    # --------------------------------------------------------------- fleet

    def fleet(self, *args, expect=0, timeout=120):
        done = subprocess.run([str(FLEET), *args], text=True, capture_output=True, timeout=timeout)
        if expect is not None and done.returncode != expect:
            self.fail(f"fleet {shlex.join(args)}: exit code {done.returncode}: {done.stderr.strip()}")
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr, line=done.stdout.strip())

    def mended(self):
        """Whatever the test breaks is mended at its end."""
        self.addCleanup(self.fleet, "up")

    def scratch(self):
        """A folder that every node sees, gone at the test's end."""
        base = None if PLAIN else Path(self.world.credentials).parents[2]
        folder = tempfile.TemporaryDirectory(dir=base, prefix="e2e-", ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def program(self, name, *args, expect=None, timeout=60, **env):
        """Runs one of Lighter's programs to its end, with nothing of the caller's LIGHTER_* and DOCKER_* settings."""
        path = Path(self.world.credentials).parents[2] / "bin" / name
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("LIGHTER_", "DOCKER_"))}
        done = subprocess.run([path, *map(str, args)], text=True, capture_output=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, env={**kept, **env})
        if expect is not None and done.returncode != expect:
            self.fail(f"{name} {shlex.join(map(str, args))}: exit code {done.returncode}, not {expect}\n"
                      f"stdout: {done.stdout}\nstderr: {done.stderr}")
        return done

    def one_line(self, done):
        """The complaint of a program that failed as it should: one line, no trace."""
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertNotIn("Fatal error", done.stderr)
        return done.stderr


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("docker", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Terminal:
    """A program under a pseudo-terminal, its controlling one, so that resizing sends it SIGWINCH."""

    def __init__(self, command, env, rows, columns):
        self.master, slave = pty.openpty()
        self.seen = b""
        self.resize(rows, columns)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env,
                                        preexec_fn=own_terminal, close_fds=True)
        os.close(slave)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, text):
        os.write(self.master, text.encode())

    def read_until(self, pattern, seconds=PATIENCE):
        """What came up to and with the pattern; a terminal that ends or is silent fails the test."""
        wanted, end = re.compile(pattern.encode()), time.monotonic() + seconds
        while True:
            found = wanted.search(self.seen)
            if found:
                before, self.seen = self.seen[: found.end()], self.seen[found.end():]
                return before.decode(errors="replace")
            if not self.read_some(end):
                raise AssertionError(f"no {pattern!r} on the terminal, but: {self.seen[-500:]!r}")

    def read_some(self, end):
        ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError as e:
            if e.errno != errno.EIO:  # Linux's way to say that the other side has closed
                raise
            data = b""
        self.seen += data
        return bool(data)

    def wait(self, seconds=PATIENCE):
        """Reads to the end of the program: its exit code."""
        end = time.monotonic() + seconds
        while self.read_some(end):
            pass
        return self.process.wait(max(0.1, end - time.monotonic()))

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.master)


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.strip()]
