"""Work that the fleet has meanwhile: services and jobs, begun at the device with the docker client, some removed again."""

import random
import threading
import time
from dataclasses import dataclass

from witness import MARK

SERVICES, JOBS = 4, 8  # that there are at most at a time
EXIT_CODE = 7


@dataclass
class Workload:
    name: str
    kind: str  # service, job, or passing: a job with --rm
    id: str = ""  # as docker run said it
    acknowledged: bool = False
    # None, "asked" where docker rm did not answer well, or "done".
    removal: str = None


class Load:
    """Two hands that go on until they are told to stop; what they draw comes from the seed."""

    def __init__(self, seed, fleet, record):
        self.seed, self.fleet, self.record = seed, fleet, record
        self.workloads, self.lock, self.refused = {}, threading.Lock(), 0
        self.ending = threading.Event()
        self.hands = [threading.Thread(target=self.work, args=(n,), name=f"load {n}", daemon=True) for n in range(2)]

    def start(self):
        for number in range(SERVICES - 1):
            self.begin(Workload(f"s0-{number}", "service"), 0)
        for hand in self.hands:
            hand.start()

    def stop(self):
        self.ending.set()
        for hand in self.hands:
            hand.join()

    def work(self, hand):
        draw, number = random.Random(f"load {self.seed} {hand}"), 0
        while not self.ending.wait(draw.uniform(0.5, 2.5)):
            number += 1
            chance, lasts = draw.random(), draw.uniform(1, 8)
            kind = "service" if chance < 0.15 else "passing" if chance < 0.35 else "job"
            if chance > 0.75:
                self.remove_one(draw)
            elif self.has_room(kind):
                self.begin(Workload(f"{kind[0]}{hand + 1}-{number}", kind), lasts)

    def has_room(self, kind):
        with self.lock:
            present = [w for w in self.workloads.values() if w.acknowledged and not w.removal]
        is_service = kind == "service"
        return sum((w.kind == "service") == is_service for w in present) < (SERVICES if is_service else JOBS)

    def begin(self, workload, lasts):
        program = ["sleep", "1000000"] if workload.kind == "service" else ["sh", "-c", f"sleep {lasts:.1f}; exit {EXIT_CODE}"]
        policy = {"service": ["--restart", "always"], "job": ["--label", "lighter.loss=rerun"],
                  "passing": ["--rm", "--label", "lighter.loss=rerun"]}[workload.kind]
        with self.lock:
            self.workloads[workload.name] = workload
        done = self.fleet.docker("run", "-d", "--name", workload.name, "--stop-signal", "KILL", "--env",
                                 f"{MARK}={workload.name}", *policy, "busybox", *program)
        if done.returncode == 0:
            workload.id, workload.acknowledged = done.stdout.strip(), True
            self.record.add(f"docker run -d: {workload.id[:12]}", workload.name)
        else:
            self.refused += 1
            self.record.add(f"docker run -d: exit code {done.returncode}: {done.stderr.strip()}", workload.name)

    def remove_one(self, draw):
        """Jobs that ended, mostly, and a service now and then."""
        with self.lock:
            present = sorted(w.name for w in self.workloads.values() if w.acknowledged and not w.removal)
        jobs = [n for n in present if not n.startswith("s")]
        chosen = jobs if draw.random() < 0.8 else present
        if not chosen:
            return
        workload = self.workloads[draw.choice(chosen)]
        workload.removal = "asked"
        done = self.fleet.docker("rm", "-f", workload.name)
        if done.returncode == 0:
            workload.removal = "done"
        self.record.add(f"docker rm -f: exit code {done.returncode} {done.stderr.strip()}", workload.name)

    def clear(self):
        """Everything goes; what stays behind shows on the engines."""
        deadline = time.monotonic() + 30
        while (left := self.fleet.docker("ps", "-aq").stdout.split()) and time.monotonic() < deadline:
            self.fleet.docker("rm", "-f", *left)
