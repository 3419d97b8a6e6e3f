"""The fleet that the campaign has for itself on the test bed, and how it is broken and mended."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from schedule import DEVICE, GATEWAY, NODES, WORKERS

REPO = Path(__file__).resolve().parents[2]
PROGRAM, TESTBED = REPO / "Testbed" / "fleet", REPO / "Testbed" / "testbed"
NAME, HEARTBEAT = "chaos", "250ms"


class Fleet:
    """Made by `up`; from then on each action of the schedule is a method's word away."""

    def __init__(self):
        self.stopped = {}  # {node: the pid that was sent SIGSTOP}
        self.environment = {**os.environ, "TESTBED_FLEET": NAME}

    def up(self):
        self.command("up", "--policy", "remote", "--heartbeat", HEARTBEAT, GATEWAY, f"{DEVICE}:rtt=2ms",
                     *(f"{n}:files=own" for n in WORKERS), timeout=600)
        self.particulars = {n: self.env(n) for n in NODES}
        self.state = Path(self.particulars[DEVICE]["LIGHTER_CREDENTIALS"]).parents[2]

    def down(self):
        self.command("down")

    def command(self, *args, timeout=120):
        done = subprocess.run([PROGRAM, *args], text=True, capture_output=True, timeout=timeout, env=self.environment)
        if done.returncode:
            raise RuntimeError(f"fleet {' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def env(self, node):
        lines = self.command("env", node).splitlines()
        return dict(line.removeprefix("export ").split("=", 1) for line in lines)

    @property
    def cgroups(self):
        return {n: self.particulars[n]["CGROUP_MEMORY"] for n in (DEVICE, *WORKERS)}

    # ------------------------------------------------------------- break, mend

    def act(self, action, node):
        """Does what a step of the schedule says."""
        what, _, whom = action.partition("-")
        if action in ("cut", "heal"):
            self.command(action, node)
        elif whom == "off" or whom == "on":
            self.command(*(("kill", node) if whom == "off" else ("start", "--soon", node)))
        elif whom == "engine":
            self.command(*(("start", "--soon") if what == "start" else (what,)), node)
        elif what == "hang":
            self.stopped[node] = int(self.command("pid", "gateway" if node == GATEWAY else node))
            os.kill(self.stopped[node], signal.SIGSTOP)
        elif what == "wake":
            os.kill(self.stopped.pop(node), signal.SIGCONT)
        elif whom == "gateway":
            self.command("gateway", what)
        else:
            self.command("daemon", node, what)

    def mend(self):
        """Whatever is broken is not any more."""
        for node in list(self.stopped):
            try:
                os.kill(self.stopped.pop(node), signal.SIGCONT)
            except ProcessLookupError:
                pass
        self.command("up", timeout=300)

    # --------------------------------------------------------------------- ask

    def docker(self, *args, engine=None, timeout=30):
        """The docker client at the device's front door, or at a node's own engine; a client that hangs has failed."""
        host = self.particulars[engine]["ENGINE_HOST"] if engine else self.particulars[DEVICE]["DOCKER_HOST"]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")}
        try:
            return subprocess.run(["docker", *map(str, args)], text=True, capture_output=True, timeout=timeout,
                                  stdin=subprocess.DEVNULL, env={**kept, "DOCKER_HOST": host})
        except subprocess.TimeoutExpired as e:
            return subprocess.CompletedProcess(e.cmd, -1, "", f"no answer within {timeout} s")

    def listed(self, engine=None):
        """{name: [(id, state, exit code or None)]} as `docker ps -a` has it there; None where it does not answer."""
        done = self.docker("ps", "-a", "--no-trunc", "--format", "{{.Names}}\t{{.ID}}\t{{.State}}\t{{.Status}}", engine=engine)
        if done.returncode:
            return None
        found = {}
        for name, identity, state, status in (line.split("\t") for line in done.stdout.splitlines()):
            code = status.partition("(")[2].partition(")")[0] if state == "exited" else None
            found.setdefault(name, []).append((identity, state, code))
        return found

    def workloads(self):
        """What the gateway knows of containers, by `lighter ps`."""
        return json.loads(self.command("cli", "ps", "--all", "--format", "json"))

    def keep_logs(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        for log in self.state.glob("*/daemon.log"):
            shutil.copy2(log, folder / f"{log.parent.name}.log")
