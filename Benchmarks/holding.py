"""What lighterd takes while other programs hold its socket open and containers come and go."""

import os
import subprocess
import time

from bed import SCRATCH, TESTBED, Place, Trouble, fleet
from figures import DEVICE, RUN, TARGET, Figure, median, memory, ready

# A service of ten lines a second says as much in four hours.
LINES_A_SECOND, LINE = 500, 100
PARTS = 4


class Held:
    """Clients of the device's front door that stay for as long as they are let: each must still be there at the end."""

    def __init__(self, door, commands):
        self.processes = {}
        for what, command in commands.items():
            out = open(SCRATCH / f"held-{what}.log", "wb")
            self.processes[what] = subprocess.Popen(
                [str(TESTBED), "exec", DEVICE, "docker", "-H", door, *command], stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, cwd="/")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.terminate()
            process.wait(timeout=10)

    def check(self):
        for what, process in self.processes.items():
            if process.poll() is not None:
                raise Trouble(f"docker {what} ended with {process.returncode}")

    def lines(self, what):
        with open(SCRATCH / f"held-{what}.log", "rb") as file:
            return sum(1 for _ in file)


def held(quick):
    """Memory of lighterd while events, logs and stats are followed and containers come and go."""
    ready("remote", f"{DEVICE}:rtt=5ms", TARGET)
    runs, name = (40 if quick else 600), f"benchmark-{os.getpid()}"
    talk = f"while :; do seq {LINES_A_SECOND} | sed 's/$/ {'x' * LINE}/'; sleep 1; done"
    with Place(DEVICE) as edge:
        pids = {"device": int(fleet("pid", DEVICE)), "node": int(fleet("pid", TARGET))}
        edge.docker(edge.door, *RUN)
        edge.docker(edge.door, "run", "-d", "--name", name, "busybox", "sh", "-c", talk)
        samples, began = {what: [] for what in pids}, time.monotonic()
        clients = {"events": ["events"], "logs": ["logs", "-f", name], "stats": ["stats"], "wait": ["wait", name]}
        try:
            with Held(edge.door, clients) as there:
                for _ in range(runs):
                    edge.docker(edge.door, *RUN)
                    for what, pid in pids.items():
                        samples[what].append(memory(pid)[0] / 1e6)
                there.check()
                took = time.monotonic() - began
                events, lines = there.lines("events"), there.lines("logs")
        finally:
            edge.docker(edge.door, "rm", "-f", name)
    # A run has six events at the least: create, attach, connect, start, die, destroy.
    if events < 6 * runs or lines < LINES_A_SECOND * took / 2:
        raise Trouble(f"{events} events and {lines} lines came in {took:.0f} s")
    return [grown(what, found, events, lines, took) for what, found in samples.items()]


def grown(what, found, events, lines, took):
    # The first part fills caches and pools.
    part = len(found) // PARTS
    early, late = median(found[part:2 * part]), median(found[-part:])
    return Figure(
        f"memory of lighterd ({what}), by how much it grew while `events`, `logs -f`, `stats` and `wait` were held: last quarter",
        "the second quarter", f"{late:.1f} MB against {early:.1f} MB; {len(found)} containers, {events:,} events, {lines:,} lines in {took:.0f} s",
        late - early, "MB", 2, 0.5, samples={"resident": found})


FIGURES = {"held": held}
