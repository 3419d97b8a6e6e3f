"""The figure of a container's end against Docker Swarm's: how soon the control plane knows."""

import concurrent.futures
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
from exits import GATEWAY, ledger, quantile
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
    """Seconds from the end of a process, as the kernel tells it, until `is_told`, which is asked each millisecond."""
    descriptor = os.pidfd_open(pid)
    select.select([descriptor], [], [], PATIENCE)
    ended = time.monotonic()
    os.close(descriptor)
    wait("told of a container's end", is_told)
    return time.monotonic() - ended


def ours(edge, cloud, gateway, pool):
    """One container through the device's front door: until the gateway has its end on disk, and until the door shows it."""
    door, engine = Engine(socket_path(edge.door)), Engine(socket_path(cloud.engine))
    container = docker(edge.door, "run", "-d", "--label", f"lighter.target={TARGET}", "busybox", *COMMAND)
    pid = engine.get(f"/containers/{container}/json")["State"]["Pid"]
    try:
        recorded = pool.submit(gateway.ask, "recorded", ledger(), container)
        end = pool.submit(cloud.ask, "ended", socket_path(cloud.engine), container)
        shown = delay(pid, lambda: door.get(f"/containers/{container}/json")["State"]["Status"] == "exited")
        return max(0, recorded.result()["time"] - end.result()["time"]), shown
    finally:
        docker(edge.door, "rm", "-f", container)


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
    """A container's end on another node, until our gateway and a Swarm's manager know it."""
    count = 10 if quick else 50
    ready("remote", DEVICE, TARGET, GATEWAY, images=("busybox",))
    testbed("up", MANAGER, WORKER)
    testbed("images", WORKER, "busybox")
    testbed("images", MANAGER, "busybox")
    found = {n: dict(re.findall(r"export (\w+)=(\S+)", testbed("env", n))) for n in (MANAGER, WORKER)}
    manager, worker = (found[n]["DOCKER_HOST"] for n in (MANAGER, WORKER))
    samples = {"gateway": [], "front door": [], "Swarm": []}
    try:
        docker(manager, "swarm", "init", "--advertise-addr", found[MANAGER]["ADDR"])
        token = docker(manager, "swarm", "join-token", "-q", "worker")
        docker(worker, "swarm", "join", "--advertise-addr", found[WORKER]["ADDR"], "--token", token,
               f"{found[MANAGER]['ADDR']}:2377")
        node = json.loads(docker(worker, "info", "--format", "{{json .Swarm}}"))["NodeID"]
        with Place(DEVICE) as edge, Place(TARGET) as cloud, Place(GATEWAY) as gateway, \
                concurrent.futures.ThreadPoolExecutor(2) as pool:
            for turn in range(-2, count):
                found = (*ours(edge, cloud, gateway, pool), theirs(manager, worker, node, turn + 2))
                if turn >= 0:
                    for name, value in zip(samples, found):
                        samples[name].append(value)
    finally:
        testbed("down", MANAGER, WORKER)
    def line(name, where, word, part, least=None, aim=None):
        own, peer = quantile(samples[name], part), quantile(samples["Swarm"], part)
        return Figure(
            f"a container's end until {where}, LAN, {word}", "Docker Swarm: `service ps` at the manager",
            f"{ms(own)} against {ms(peer)}", peer / max(own, 1e-6), least=least, aim=aim, higher=True, samples=samples)

    return [
        line("gateway", "the gateway has it on its disk", "p50", 0.5, 10, 50),
        line("gateway", "the gateway has it on its disk", "p99", 0.99),
        line("front door", "the device's front door shows it to who asks", "p50", 0.5)]


FIGURES = {"swarm": swarm}
