"""The figures of heartbeats: how soon a silent node is known to be, and what it costs to know."""

import json
import subprocess
import time

from bed import FLEET, Trouble, fleet, testbed
from figures import DEVICE, TARGET, Figure, median

# Seconds between heartbeats -> seconds until a lost node was detected, and KB an hour, as published of another system.
PUBLISHED = {2: (3.1, 360), 5: (7.2, 144), 10: (14.8, 72)}


def state(node):
    done = subprocess.run([FLEET, "cli", "nodes", "--format", "json"], text=True, capture_output=True, timeout=10)
    if done.returncode:
        raise Trouble(done.stderr.strip())
    return next(n["state"] for n in json.loads(done.stdout) if n["name"] == node)


def wait(node, wanted, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if state(node) in wanted:
            return time.monotonic()
        time.sleep(0.02)
    raise Trouble(f"{node} was not {wanted[0]} within {seconds} s")


ETHERNET = 14  # bytes of its header, which a provider does not count


def carried(node):
    """Bytes of IP through a node's network card, both ways."""
    shown = json.loads(testbed("exec", node, "ip", "-j", "-s", "link", "show", "dev", "eth0"))[0]["stats64"]
    return sum(shown[way]["bytes"] - ETHERNET * shown[way]["packets"] for way in ("rx", "tx"))


def detection(quick):
    """A node that falls silent: until it is suspected and given up, and what an idle node's link carries, by heartbeat."""
    figures = []
    for beat, (seconds, volume) in PUBLISHED.items():
        if quick and beat > 2:
            continue
        fleet("down")
        fleet("up", "--policy", "remote", "--heartbeat", f"{beat}s", DEVICE, TARGET, "gateway")
        time.sleep(20)  # what a new fleet tells each other
        samples = {"suspect": [], "unreachable": []}
        before, began, span = carried(DEVICE), time.monotonic(), 60 if quick else 300
        time.sleep(span)
        idle = (carried(DEVICE) - before) / (time.monotonic() - began) * 3600 / 1e3
        for turn in range(3 if quick else 7):
            time.sleep(1 + beat * turn / 7)  # at different moments between two heartbeats
            testbed("cut", TARGET)
            cut = time.monotonic()
            samples["suspect"].append(wait(TARGET, ("suspect", "unreachable"), beat * 10) - cut)
            samples["unreachable"].append(wait(TARGET, ("unreachable",), beat * 10) - cut)
            testbed("heal", TARGET)
            wait(TARGET, ("ready",), 60)
            time.sleep(2 * beat)
        for word in ("suspect", "unreachable"):
            own = median(samples[word])
            bounds = (seconds, seconds / 2) if word == "suspect" else (None, None)
            figures.append(Figure(
                f"a silent node is {word}, heartbeat {beat} s", f"published: {seconds} s", f"{own:.2f} s", own, unit="s",
                least=bounds[0], aim=bounds[1], samples=samples))
        figures.append(Figure(
            f"an idle node's whole traffic, heartbeat {beat} s, TLS, TCP and IP in it",
            f"published: {volume} KB an hour", f"{idle:.0f} KB an hour", idle / volume, least=1, aim=0.5,
            samples={"KB an hour": idle}))
    return figures


FIGURES = {"detection": detection}
