"""The figure of a container's end against Docker Swarm's: how soon a node that only asks is told."""

import http.client
import json
import os
import re
import select
import socket
import subprocess
import time
import urllib.parse

from bed import Place, Trouble, socket_path, testbed
from exits import quantile
from figures import DEVICE, TARGET, Figure, ms, ready

MANAGER, WORKER = "swarm1", "swarm2"
# Whoever asks has begun before it is over.
COMMAND = ("sh", "-c", "sleep 1.5; exit 3")
PATIENCE = 30


class Engine:
    """The API at a socket; each question on a connection that is kept."""

    def __init__(self, path):
        self.path, self.connection = path, None

    def get(self, target, **filters):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("docker", timeout=10)
            self.connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.connection.sock.connect(self.path)
        query = f"?filters={urllib.parse.quote(json.dumps(filters))}" if filters else ""
        self.connection.request("GET", target + query)
        return json.loads(self.connection.getresponse().read())


def docker(host, *arguments):
    done = subprocess.run(["docker", "-H", host, *arguments], text=True, capture_output=True)
    if done.returncode:
        raise Trouble(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def wait(what, check):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.001)
    raise Trouble(f"not {what} within {PATIENCE} s")


def delay(pid, is_told):
    """Seconds from the end of a process, as the kernel tells it, until `is_told`; both are looked at from now on."""
    descriptor = os.pidfd_open(pid)
    told, end = None, time.monotonic() + PATIENCE
    ended = None
    while (told is None or ended is None) and time.monotonic() < end:
        if ended is None and select.select([descriptor], [], [], 0)[0]:
            ended = time.monotonic()
        if told is None and is_told():
            told = time.monotonic()
    os.close(descriptor)
    if told is None or ended is None:
        raise Trouble(f"a container's end was not told within {PATIENCE} s")
    return max(0, told - ended)


def ours(place, cloud):
    """One container through the device's front door, asked for its state there."""
    door, engine = Engine(socket_path(place.door)), Engine(socket_path(cloud.engine))
    container = docker(place.door, "run", "-d", "--label", f"lighter.target={TARGET}", "busybox", *COMMAND)
    pid = engine.get(f"/containers/{container}/json")["State"]["Pid"]
    try:
        return delay(pid, lambda: door.get(f"/containers/{container}/json")["State"]["Status"] == "exited")
    finally:
        docker(place.door, "rm", "-f", container)


def theirs(manager, worker, node, number):
    """One task of a service at the worker; the manager is asked for its state, as `service ps` does."""
    asked, there = Engine(socket_path(manager)), Engine(socket_path(worker))
    service = docker(manager, "service", "create", "-q", "-d", "--no-resolve-image", "--name", f"s{number}",
                     "--restart-condition", "none", "--constraint", f"node.id=={node}", "busybox", *COMMAND)
    try:
        running = wait("running", lambda: there.get(
            "/containers/json", label=[f"com.docker.swarm.service.id={service}"]))[0]["Id"]
        pid = there.get(f"/containers/{running}/json")["State"]["Pid"]
        return delay(pid, lambda: asked.get("/tasks", service=[f"s{number}"])[0]["Status"]["State"] in (
            "failed", "complete"))
    finally:
        docker(manager, "service", "rm", service)


def swarm(quick):
    """A container's end on another node, asked for where it was started: our front door, and a Swarm manager."""
    count = 10 if quick else 50
    ready("remote", DEVICE, TARGET, "gateway", images=("busybox",))
    testbed("up", MANAGER, WORKER)
    testbed("images", WORKER, "busybox")
    testbed("images", MANAGER, "busybox")
    found = {n: dict(re.findall(r"export (\w+)=(\S+)", testbed("env", n))) for n in (MANAGER, WORKER)}
    manager, worker = (found[n]["DOCKER_HOST"] for n in (MANAGER, WORKER))
    samples = {"ours": [], "Swarm": []}
    try:
        docker(manager, "swarm", "init", "--advertise-addr", found[MANAGER]["ADDR"])
        token = docker(manager, "swarm", "join-token", "-q", "worker")
        docker(worker, "swarm", "join", "--advertise-addr", found[WORKER]["ADDR"], "--token", token,
               f"{found[MANAGER]['ADDR']}:2377")
        node = json.loads(docker(worker, "info", "--format", "{{json .Swarm}}"))["NodeID"]
        with Place(DEVICE) as edge, Place(TARGET) as cloud:
            for turn in range(-2, count):
                one, other = ours(edge, cloud), theirs(manager, worker, node, turn + 2)
                if turn >= 0:
                    samples["ours"].append(one)
                    samples["Swarm"].append(other)
    finally:
        testbed("down", MANAGER, WORKER)
    figures = []
    for word, part, least, aim in (("p50", 0.5, 10, 50), ("p99", 0.99, None, None)):
        own, peer = quantile(samples["ours"], part), quantile(samples["Swarm"], part)
        figures.append(Figure(
            f"a container's end on another node until whoever asks where it was started is told, LAN, {word}",
            "Docker Swarm: `service ps` at the manager", f"{ms(own)} against {ms(peer)}", peer / max(own, 1e-6),
            least=least, aim=aim, higher=True, samples=samples))
    return figures


FIGURES = {"swarm": swarm}
