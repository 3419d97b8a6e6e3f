"""Which faults come when: a function of the seed alone, so that the same seed gives the same faults again."""

import random
from collections import namedtuple

# What breaks, how it is mended, and whom it may befall.
Kind = namedtuple("Kind", "name mending victims weight")
# A step of the campaign: wait for so long, then do this; `is_fault` tells what breaks from what is mended.
Step = namedtuple("Step", "pause action node is_fault")

DEVICE, WORKERS, GATEWAY = "ch1", ("ch2", "ch3", "ch4"), "ch-gateway"
NODES = (GATEWAY, DEVICE, *WORKERS)

KINDS = (
    Kind("cut", "heal", (*WORKERS, DEVICE, GATEWAY), 4),  # the network is silent
    Kind("power-off", "power-on", (*WORKERS, DEVICE, GATEWAY), 4),
    Kind("stop-engine", "start-engine", (*WORKERS, DEVICE), 2),  # in order, as at an upgrade
    Kind("pause-engine", "resume-engine", (*WORKERS, DEVICE), 2),  # SIGSTOP
    Kind("kill-daemon", "start-daemon", (*WORKERS, DEVICE), 3),
    Kind("hang-daemon", "wake-daemon", (*WORKERS, DEVICE), 3),  # SIGSTOP
    Kind("kill-gateway", "start-gateway", (GATEWAY,), 5),
    Kind("hang-gateway", "wake-gateway", (GATEWAY,), 3),
)
AT_ONCE = 3  # nodes that may be broken at the same time
BEFALLEN = {DEVICE: 1, GATEWAY: 1.5}  # against 2 of each worker


def steps(seed, faults):
    """The steps of a campaign with so many faults; at its end everything is mended."""
    draw = random.Random(f"faults {seed}")
    broken, clock, last, done = [], 0.0, 0.0, 0  # broken: (when it is mended, node, mending)

    def step(at, action, node, is_fault):
        nonlocal last
        pause, last = max(0.0, at - last), max(at, last)
        return Step(round(pause, 3), action, node, is_fault)

    while done < faults:
        clock += draw.choice((0.05, 0.5, 1, 2, 3)) * draw.uniform(0.5, 1.5)
        while broken and (broken[0][0] <= clock or len(broken) >= AT_ONCE):
            at, node, mending = broken.pop(0)
            clock = max(clock, at)
            yield step(at, mending, node, False)
        well = [n for n in NODES if n not in {b[1] for b in broken}]
        node = draw.choices(well, [BEFALLEN.get(n, 2) for n in well])[0]
        kinds = [k for k in KINDS if node in k.victims]
        kind = draw.choices(kinds, [k.weight for k in kinds])[0]
        # Some shorter than a lease, some about as long, some so long that work moves.
        lasts = draw.choice((0.3, 1, 2, 4, 7)) * draw.uniform(0.7, 1.3)
        broken = sorted([*broken, (clock + lasts, node, kind.mending)])
        yield step(clock, kind.name, node, True)
        done += 1
    for at, node, mending in broken:
        yield step(at, mending, node, False)
