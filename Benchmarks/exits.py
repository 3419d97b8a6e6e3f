"""The figures of a container's end: how soon others than its own node know."""

import concurrent.futures
import os
from pathlib import Path

from bed import Place, Trouble, socket_path
from figures import DEVICE, TARGET, Figure, ms, ready

GATEWAY = "gateway"
CODE = 3
# Every observer has begun before it is over.
COMMAND = ("sh", "-c", f"sleep 0.7; exit {CODE}")


def ledger():
    state = Path(os.path.abspath(os.environ.get("TESTBED_STATE") or "/var/tmp/testbed"))
    return str(state / "benchmarks" / "gateway" / "data" / "ledger.sqlite")


def quantile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def exits(quick):
    """A container's end on another node: until the gateway has it on disk, and until the device's front door tells it."""
    count = 10 if quick else 100
    ready("remote", DEVICE, TARGET, GATEWAY, images=("busybox",))
    samples = {"gateway": [], "front door": [], "inspection": [], "engine": []}
    # Where the time goes on the way to the gateway: until the agent has noticed, until the gateway begins to write, until the
    # end is on its disk, be it without the code.
    steps = {"noticed": [], "taken": [], "ending": []}
    with Place(DEVICE) as edge, Place(TARGET) as cloud, Place(TARGET) as engine, Place(GATEWAY) as gateway, \
            Place(DEVICE) as asking, \
            concurrent.futures.ThreadPoolExecutor(5) as pool:
        for turn in range(-2, count):
            made = edge.ask("timed", ["docker", "run", "-d", "busybox", *COMMAND], {"DOCKER_HOST": edge.door})
            if made["status"]:
                raise Trouble(f"docker run: {made['stderr'].strip()}")
            container = made["stdout"].strip()
            found = {
                "end": pool.submit(cloud.ask, "ended", socket_path(cloud.engine), container),
                "gateway": pool.submit(gateway.ask, "recorded", ledger(), container),
                "front door": pool.submit(edge.ask, "announced", socket_path(edge.door), container),
                "inspection": pool.submit(asking.ask, "shown", socket_path(edge.door), container),
                "engine": pool.submit(engine.ask, "announced", socket_path(cloud.engine), container)}
            answers = {name: future.result() for name, future in found.items()}
            if turn >= 0:
                for step in steps:
                    steps[step].append(answers["gateway"][step] - answers["end"]["time"])
            for name in samples:
                if answers[name]["code"] != CODE:
                    raise Trouble(f"{name}: exit code {answers[name]['code']} instead of {CODE}")
                if turn >= 0:
                    samples[name].append(answers[name]["time"] - answers["end"]["time"])
            edge.docker(edge.door, "rm", container)
    samples.update(steps)
    return [
        figure("gateway, on its disk, with the code", "p50", 0.5, "gateway", samples, 10, 3),
        figure("gateway, on its disk, with the code", "p99", 0.99, "gateway", samples, 40, 10),
        figure("front door of another node, by inspection", "p50", 0.5, "inspection", samples, 10, 3),
        figure("front door of another node, by inspection", "p99", 0.99, "inspection", samples, 40, 10),
        figure("front door of another node, by its events", "p50", 0.5, "front door", samples),
    ]


def figure(what, word, part, name, samples, least=None, aim=None):
    own, peer = quantile(samples[name], part), quantile(samples["engine"], part)
    return Figure(
        f"a container's end until it is known at the {what}, LAN, {word}", "the engine's own event, at the engine",
        f"{ms(own)} against {ms(peer)}", own * 1e3, unit="ms", least=least, aim=aim, samples=samples)


FIGURES = {"exit": exits}
