"""What the figures are measured on: the fleet, a stopwatch on each node, and the peers."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
FLEET = HERE / "fleet"
TESTBED = HERE.parent / "Testbed" / "testbed"
# Not below /tmp or /home: a node with files of its own would not see it.
SCRATCH = Path("/var/tmp/lighter-benchmarks")


class Trouble(Exception):
    """A figure could not be measured; the text says why, in the table too."""


def fleet(*arguments):
    done = subprocess.run([str(FLEET), *arguments], text=True, capture_output=True)
    if done.returncode:
        raise Trouble((done.stderr.strip().splitlines() or [f"fleet {arguments[0]} failed"])[-1])
    return done.stdout


def testbed(*arguments):
    done = subprocess.run([str(TESTBED), *arguments], text=True, capture_output=True)
    if done.returncode:
        raise Trouble((done.stderr.strip().splitlines() or [f"testbed {arguments[0]} failed"])[-1])
    return done.stdout


def environment(node):
    """What `fleet env NODE` says: DOCKER_HOST (the front door), ENGINE_HOST, ADDR and more."""
    return dict(re.findall(r"^export (\w+)=(.*)$", fleet("env", node), re.M))


def socket_path(host):
    return host.removeprefix("unix://")


class Place:
    """A node as a figure sees it: its sockets, and a stopwatch that runs there."""

    def __init__(self, node):
        self.node = node
        found = environment(node)
        self.address, self.door, self.engine = found["ADDR"], found["DOCKER_HOST"], found["ENGINE_HOST"]
        program = SCRATCH / "stopwatch"
        shutil.copy2(HERE / "stopwatch", program)
        self.process = subprocess.Popen(
            [str(TESTBED), "exec", node, sys.executable, str(program)], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, cwd="/")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=70)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def ask(self, verb, *arguments):
        self.process.stdin.write(json.dumps([verb, *arguments]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Trouble(f"the stopwatch on {self.node} ended")
        answer = json.loads(line)
        if "error" in answer:
            raise Trouble(f"{self.node}: {answer['error']}")
        return answer

    def run(self, *command, **environment):
        """Seconds that any command takes from here; it must succeed."""
        answer = self.ask("timed", command, environment)
        if answer["status"]:
            raise Trouble(f"{Path(command[0]).name}: status {answer['status']}: {answer['stderr'].strip()}")
        return answer["seconds"]

    def docker(self, host, *arguments, **more):
        """Seconds that a docker command takes from here; it must succeed."""
        answer = self.ask("timed", ["docker", *arguments], {"DOCKER_HOST": host, **more})
        if answer["status"]:
            raise Trouble(f"docker {arguments[0]} on {host}: status {answer['status']}: {answer['stderr'].strip()}")
        return answer["seconds"]


def program(node, command, log, ready, extra=None):
    """Starts a peer on a node and waits until `ready()`; it lives until the returned process is terminated."""
    with open(SCRATCH / log, "wb") as out:
        process = subprocess.Popen([str(TESTBED), "exec", node, *command], stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=out, cwd="/", env={**os.environ, **(extra or {})})
    end = time.monotonic() + 10
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            process.terminate()
            said = (SCRATCH / log).read_text(errors="replace").strip().splitlines()
            raise Trouble(f"{Path(command[0]).name} did not start: {said[-1] if said else 'it said nothing'}")
        time.sleep(0.02)
    return process


def need(command, package):
    """Installs a peer's package where it is missing, without starting a service of the system."""
    found = shutil.which(command) or shutil.which(command, path="/usr/sbin:/sbin")
    if found:
        return found
    print(f"installing {package}", file=sys.stderr)
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        subprocess.run(["apt-get", "-qq", "update"], capture_output=True)
        subprocess.run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", package], capture_output=True,
                       env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    finally:
        if ours:
            policy.unlink()
    found = shutil.which(command) or shutil.which(command, path="/usr/sbin:/sbin")
    if not found:
        raise Trouble(f"{package} could not be installed with apt")
    return found


class HAProxy:
    """haproxy on a node, with one thread."""

    def __init__(self, place, mode, address, server, ready, more=""):
        configuration = SCRATCH / "haproxy.cfg"
        configuration.write_text(
            f"global\n    nbthread 1\n"
            f"defaults\n    mode {mode}\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n{more}"
            f"frontend door\n    bind {address}\n    default_backend there\n"
            f"backend there\n    server there {server}\n")
        command = [need("haproxy", "haproxy"), "-db", "-f", str(configuration)]
        self.process = program(place.node, command, "haproxy.log", ready)

    @classmethod
    def before_engine(cls, place):
        """In front of an engine's socket, on the engine's node: HTTP mode, connections to the server kept."""
        path = SCRATCH / "haproxy.sock"
        path.unlink(missing_ok=True)
        made = cls(place, "http", f"unix@{path} mode 600", f"unix@{socket_path(place.engine)}", path.exists,
                   "    option http-keep-alive\n    http-reuse always\n")
        made.path = path
        return made

    @classmethod
    def before_port(cls, place, port, server):
        """In front of a port of another node: TCP mode."""
        return cls(place, "tcp", f"127.0.0.1:{port}", server,
                   lambda: f"127.0.0.1:{port} " in testbed("exec", place.node, "ss", "-Htln"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=10)


class Registry:
    """An image registry on a node, which its engine alone reaches, without TLS as on any loopback."""

    ADDRESS = "127.0.0.1:5000"

    def __init__(self, place):
        folder = SCRATCH / "registry"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.folder = folder
        (folder / "config.json").write_text(json.dumps({
            "version": 0.1, "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(folder / "data")}}, "http": {"addr": self.ADDRESS}}))
        command = [need("docker-registry", "docker-registry"), "serve", str(folder / "config.json")]
        self.process = program(place.node, command, "registry.log",
                               lambda: f"{self.ADDRESS} " in testbed("exec", place.node, "ss", "-Htln"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)


class SSH:
    """An sshd of our own on a node, with its own keys, and what a docker client needs to go through it."""

    PORT = 7722

    def __init__(self, place):
        sshd, self.place, folder = need("sshd", "openssh-server"), place, SCRATCH / "ssh"
        client = need("ssh", "openssh-client")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        for key in ("host", "client"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd insists on its folder for privilege separation
        (folder / "sshd_config").write_text(
            f"ListenAddress {place.address}:{self.PORT}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/client.pub\n"
            "PermitRootLogin prohibit-password\nPasswordAuthentication no\nUsePAM no\nStrictModes no\nUseDNS no\n"
            f"MaxSessions 100\nMaxStartups 100\nPidFile none\nSetEnv DOCKER_HOST={place.engine}\n")
        host = (folder / "host.pub").read_text().split()
        (folder / "known").write_text(f"[{place.address}]:{self.PORT} {host[0]} {host[1]}\n")
        plain = (f"Host *\n    IdentityFile {folder}/client\n    IdentitiesOnly yes\n    BatchMode yes\n"
                 f"    UserKnownHostsFile {folder}/known\n    StrictHostKeyChecking yes\n    GSSAPIAuthentication no\n")
        shared = f"    ControlMaster auto\n    ControlPath {folder}/control\n    ControlPersist 120\n"
        # docker takes no options for ssh: it runs what PATH calls `ssh`.
        for name, text in (("plain", plain), ("shared", plain + shared)):
            (folder / name).mkdir()
            (folder / name / "config").write_text(text)
            wrapper = folder / name / "ssh"
            wrapper.write_text(f'#!/bin/sh\nexec {client} -F {folder}/{name}/config "$@"\n')
            wrapper.chmod(0o755)
        self.folder, self.client = folder, client
        self.host = f"ssh://root@{place.address}:{self.PORT}"
        log = SCRATCH / "sshd.log"
        self.process = program(place.node, [sshd, "-D", "-e", "-f", str(folder / "sshd_config")], log.name,
                               lambda: log.exists() and b"listening" in log.read_bytes())

    def path(self, kind):
        return f"{self.folder / kind}:{os.environ.get('PATH', '/usr/bin:/bin')}"

    def command(self):
        """ssh, for a program that is told what to call; the host is `root@ADDRESS`."""
        return f"{self.client} -F {self.folder}/plain/config -p {self.PORT}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([self.client, "-F", str(self.folder / "shared" / "config"), "-O", "exit", self.place.address],
                       capture_output=True)
        self.process.terminate()
        self.process.wait(timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)
