"""The figures of a container's changes: how soon others than its own node know."""

import concurrent.futures
import os
import re
import time
from pathlib import Path

from bed import Place, Trouble, fleet, socket_path
from figures import DEVICE, TARGET, Figure, ms, ready

GATEWAY = "gateway"
CODE = 3
# Every observer has begun before it is over.
COMMAND = ("sh", "-c", f"sleep 0.7; exit {CODE}")


# It says when it began to run, and holds more than it may once every observer has begun.
LIFE = ("sh", "-c", f"adjtimex; sleep 0.7; exit {CODE}")
GREED = ("sh", "-c", "sleep 0.7; exec tail /dev/zero")
# By what each change is told: of the kernel's sources, and with the engine's events alone.
CHANGES = {"start": "ebpf", "end": "pidfd", "kill for want of memory": "cgroup"}
KERNEL, ENGINE = ",".join(CHANGES.values()), "none"


def folder(node):
    state = Path(os.path.abspath(os.environ.get("TESTBED_STATE") or "/var/tmp/testbed"))
    return state / "benchmarks" / node


def ledger():
    return str(folder(GATEWAY) / "data" / "ledger.sqlite")


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


def sources(quick):
    """A change of a container on another node, until the gateway has it on disk: told by the kernel, and by the engine."""
    count = 3 if quick else 20
    ready("remote", DEVICE, TARGET, GATEWAY, images=("busybox",))
    samples = {}
    for _ in range(2):
        for told in (KERNEL, ENGINE):
            listen(told)
            with Changes() as changes:
                for turn in range(-1, count):
                    found = {**changes.life(), **changes.greed()}
                    for change, seconds in found.items():
                        if turn >= 0:
                            samples.setdefault(f"{change}, {told}", []).append(seconds)
    return [
        Figure(
            f"a container's {change} until it is known at the gateway, on its disk, LAN, {word}",
            f"told by the engine's events instead of {source}",
            f"{ms(quantile(samples[f'{change}, {KERNEL}'], part))} against "
            f"{ms(quantile(samples[f'{change}, {ENGINE}'], part))}",
            quantile(samples[f"{change}, {KERNEL}"], part) * 1e3, unit="ms", samples=samples)
        for change, source in CHANGES.items() for word, part in (("p50", 0.5), ("p99", 0.99))]


def listen(told):
    """Has the target's daemon listen to these of the kernel's sources."""
    file = folder(TARGET) / "lighterd.conf"
    kept = [line for line in file.read_text().splitlines() if not line.startswith("event_sources")]
    file.write_text("\n".join([*kept, f"event_sources = {told}", ""]))
    fleet("daemon", TARGET, "stop")
    fleet("daemon", TARGET, "start")
    fleet("up")
    time.sleep(2)


class Changes:
    """Containers of the device on the target, observed there and at the gateway."""

    def __enter__(self):
        self.edge, self.cloud, self.gateway = Place(DEVICE), Place(TARGET), Place(GATEWAY)
        self.more = Place(GATEWAY)
        self.pool = concurrent.futures.ThreadPoolExecutor(4)
        return self

    def __exit__(self, *_):
        self.pool.shutdown()
        for place in (self.edge, self.cloud, self.gateway, self.more):
            place.__exit__()

    def docker(self, *arguments):
        done = self.edge.ask("timed", ["docker", *arguments], {"DOCKER_HOST": self.edge.door})
        if done["status"]:
            raise Trouble(f"docker {arguments[0]}: {done['stderr'].strip()}")
        return done["stdout"].strip()

    def life(self):
        """From its first instructions, and from its end, to the gateway's ledger."""
        container = self.docker("create", "busybox", *LIFE)
        start = self.pool.submit(self.gateway.ask, "reported", ledger(), container, "state = 'running'")
        end = self.pool.submit(self.more.ask, "reported", ledger(), container, f"exitCode = {CODE}")
        self.docker("start", container)
        ended = self.cloud.ask("ended", socket_path(self.cloud.engine), container)["time"]
        found = {"start": start.result()["time"], "end": end.result()["time"] - ended}
        clock = re.search(r"tv_sec:\s+(\d+)\s+time.tv_usec:\s+(\d+)", self.docker("logs", container))
        if not clock:
            raise Trouble("busybox adjtimex says no time in a container")
        found["start"] -= int(clock[1]) + int(clock[2]) / 1e6
        self.docker("rm", "-f", container)
        return found

    def greed(self):
        """From the end of the process that was killed."""
        container = self.docker("run", "-d", "-m", "16m", "busybox", *GREED)
        killed = self.pool.submit(
            self.gateway.ask, "reported", ledger(), container, "error = 'killed: out of memory'")
        ended = self.cloud.ask("ended", socket_path(self.cloud.engine), container)["time"]
        found = killed.result()["time"] - ended
        self.docker("rm", "-f", container)
        return {"kill for want of memory": found}


FIGURES = {"exit": exits, "sources": sources}
