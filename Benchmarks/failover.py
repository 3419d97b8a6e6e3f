"""The figure of a lost node: from its power cord until its work runs again elsewhere."""

import http.client
import json
import socket
import time
import urllib.parse

from bed import Place, Trouble, fleet, socket_path, testbed
from figures import DEVICE, Figure, median, ms

GATEWAY, WORKERS = "gateway", ("worker1", "worker2")
BEAT = "250ms"
PATIENCE = 60


class Engine(http.client.HTTPConnection):
    """A node's own engine, asked from outside the fleet."""

    def __init__(self, place):
        super().__init__("docker", timeout=5)
        self.path = socket_path(place.engine)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(5)
        self.sock.connect(self.path)

    def runs(self, name):
        filters = urllib.parse.quote(json.dumps({"name": [name], "status": ["running"]}))
        self.request("GET", f"/containers/json?filters={filters}")
        return bool(json.loads(self.getresponse().read()))


def until(what, check):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.005)
    raise Trouble(f"not {what} within {PATIENCE} s")


def failover(quick):
    """A service's node loses power; the gateway beats four times a second, and the image is at the other node already."""
    fleet("down")
    fleet("up", "--policy", "remote", "--heartbeat", BEAT, GATEWAY, f"{DEVICE}:rtt=2ms", *(f"{w}:files=own" for w in WORKERS))
    for worker in WORKERS:
        testbed("images", worker, "busybox")
    samples = []
    for turn in range(3 if quick else 11):
        name = f"service-{turn}"
        with Place(DEVICE) as device:
            command = ["docker", "run", "-d", "--name", name, "--restart", "always", "busybox", "sleep", "600"]
            made = device.ask("timed", command, {"DOCKER_HOST": device.door})
            if made["status"]:
                raise Trouble(f"docker run: {made['stderr'].strip()}")
            places = {w: Place(w) for w in WORKERS}
            engines = {w: Engine(p) for w, p in places.items()}
            first = until("running", lambda: next((w for w in WORKERS if engines[w].runs(name)), None))
            other = next(w for w in WORKERS if w != first)
            begun = time.monotonic()
            fleet("kill", first)
            until("running again", lambda: engines[other].runs(name))
            samples.append(time.monotonic() - begun)
            device.docker(device.door, "rm", "-f", name)
            for place in places.values():
                place.process.kill()
        fleet("up")
    return [Figure(
        f"power cord until a service runs again elsewhere, heartbeat {BEAT}", "15 to 340 s, published of others",
        f"{ms(median(samples))}, at most {ms(max(samples))}", median(samples), unit="s", least=3, aim=1,
        samples={"seconds": samples})]


FIGURES = {"failover": failover}
