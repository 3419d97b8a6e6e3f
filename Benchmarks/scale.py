"""The figures of a gateway with a large fleet: simulated nodes over TLS, on the same machine."""

import json
import subprocess

from bed import HERE, Trouble
from figures import Figure

PROGRAM = HERE.parent / ".build" / "release" / "lighter"


def simulate(*arguments):
    done = subprocess.run([PROGRAM, "simulate", "--format", "json", *map(str, arguments)], text=True, capture_output=True)
    if done.returncode:
        raise Trouble(f"lighter simulate: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return json.loads(done.stdout)


def fleet(quick):
    """A gateway with many nodes: durable updates, what their heartbeats cost, and how soon all are back."""
    single = simulate("--nodes", 500, "--tasks", 5_000 if quick else 100_000, "--in-flight", 4096, "--seconds", 0)
    many = simulate("--nodes", 500, "--tasks", 20_000 if quick else 400_000, "--in-flight", 1024, "--batch", 16,
                    "--seconds", 0)
    nodes = 2_000 if quick else 10_000
    seconds = 20 if quick else 60
    large = simulate("--nodes", nodes, "--tasks", 0, "--connecting", 128, "--seconds", seconds, "--reconnect")
    restless = simulate("--nodes", nodes, "--tasks", 0, "--connecting", 128, "--seconds", seconds, "--restless", 100)
    figures = []
    for name, run in (("4,096 tasks under way", single), ("1,024 batches of 16 tasks under way", many)):
        used = run["updatesUsage"]
        figures.append(Figure(
            f"updates/s, durable and acknowledged, {name}, 500 nodes", "none: absolute",
            f"{run['updatesPerSecond']:,.0f}/s, {run['updatesPerReport']:.0f} in a report, after {run['acknowledged']['p50Milliseconds']:.0f} ms (p50), "
            f"{run['acknowledged']['p99Milliseconds']:.0f} ms (p99); {used['cores']:.2f} cores",
            run["updatesPerSecond"], "/s", 30_000, 100_000, higher=True, samples=run))
    for share, run in (("one of ten", large), ("every one", restless)):
        rest = run["restUsage"]
        figures.append(Figure(
            f"CPU of a gateway with {nodes:,} nodes that beat each second, {share} of them at work", "none: absolute",
            f"{run['heartbeatsPerSecond']:,.0f} heartbeats/s, answered after {run['heartbeatAnswered']['p99Milliseconds']:.0f} ms "
            f"(p99); {run['pushedBytesPerSecond'] / 1e6:.1f} MB/s pushed", rest["cores"], "core", 1, 0.3, samples=run))
        figures.append(Figure(
            "memory of that gateway", "none: absolute", f"at most {rest['peakMemoryBytes'] / 1e6:.0f} MB",
            rest["memoryBytes"] / 1e6, "MB", 1000, 300))
    figures.append(Figure(
        f"until {nodes:,} nodes whose links were cut at once are back, inventory acknowledged", "none: absolute",
        f"{large['reconnected']['p50Milliseconds'] / 1e3:.1f} s (p50), turned away {large['refusedWhileReconnecting']} times",
        large["reconnectSeconds"], "s"))
    return figures


FIGURES = {"fleet": fleet}
