"""Who really runs: the processes of the nodes' containers, looked at from outside the fleet, a few hundred times a second.

The nodes' containers are processes of this machine, in cgroups that bear their engine's ids. So neither a cut nor a
daemon's opinion comes between a run and the one who sees it.
"""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

MARK = "CHAOS_WORKLOAD"  # an environment variable
PERIOD = 0.005


@dataclass
class Run:
    """One life of a workload's processes in one container."""
    workload: str
    node: str
    container: str  # the engine's id
    pid: int
    first: float
    last: float


class Witness:
    """Watches until it is told to stop. `cgroups`: {node: its cgroup}, in any one hierarchy."""

    def __init__(self, cgroups, record, overlapping):
        self.cgroups, self.record, self.overlapping = cgroups, record, overlapping
        self.runs, self.alive, self.looks, self.longest_pause = [], {}, 0, 0.0
        self.told = set()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.watch, name="witness", daemon=True)

    def start(self):
        self.thread.start()

    def stop(self):
        self.ending.set()
        self.thread.join()

    def watch(self):
        # Of this thread alone: what it watches has to be seen on a busy machine, too.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -15)
        last = time.monotonic()
        while not self.ending.wait(PERIOD):
            self.look()
            now = time.monotonic()
            self.looks, self.longest_pause, last = self.looks + 1, max(self.longest_pause, now - last), now

    def look(self):
        seen = {}
        for node, cgroup in self.cgroups.items():
            for container in containers(cgroup):
                run = self.run_in(node, container, f"{cgroup}/{container}/cgroup.procs")
                if run:
                    seen[(node, container)] = run
        for key, run in list(self.alive.items()):
            if seen.get(key) is not run:
                self.record.add(f"ends at {run.node}, in {run.container[:12]} (pid {run.pid})", run.workload, run.last)
                del self.alive[key]
        self.alive.update(seen)
        self.compare(seen.values())

    def run_in(self, node, container, procs):
        """The run that is under way in this cgroup; None where there is none."""
        pids, known = members(procs), self.alive.get((node, container))
        if known and any(marked(pid) == known.workload for pid in pids):
            known.last = self.record.now()
            return known
        for pid in pids:
            workload = marked(pid)
            if workload:
                now = self.record.now()
                run = Run(workload, node, container, pid, now, now)
                self.runs.append(run)
                self.record.add(f"runs at {node}, in {container[:12]} (pid {pid})", workload, now)
                return run
        return None

    def compare(self, seen):
        """Tells of a workload that runs in two containers; the one seen first is looked at once more, after the other."""
        of = {}
        for run in seen:
            of.setdefault(run.workload, []).append(run)
        for workload, runs in of.items():
            pair = tuple(sorted(r.container for r in runs))
            if len(runs) > 1 and pair not in self.told and all(self.still(r) for r in runs[:-1]):
                self.told.add(pair)
                self.overlapping(workload, [f"{r.node}, in {r.container[:12]} (pid {r.pid})" for r in runs])

    def still(self, run):
        procs = f"{self.cgroups[run.node]}/{run.container}/cgroup.procs"
        return any(marked(pid) == run.workload for pid in members(procs))

    def forget(self, workload):
        """Waits until nothing of it runs, and leaves it out of the runs."""
        while self.now_running(workload):
            time.sleep(PERIOD)
        self.runs = [run for run in self.runs if run.workload != workload]

    def now_running(self, workload):
        return [r for r in list(self.alive.values()) if r.workload == workload]


def containers(cgroup):
    try:
        return [entry.name for entry in os.scandir(cgroup) if len(entry.name) == 64]
    except OSError:
        return []  # the node is off


def members(procs):
    try:
        return Path(procs).read_text().split()
    except OSError:
        return []


def marked(pid):
    """The workload whose mark a live process bears: not a zombie, which has no environment, nor a runtime's own process."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as f:
            found = f.read()
    except OSError:
        return None
    value = (b"\0" + found).partition(f"\0{MARK}=".encode())[2].partition(b"\0")[0]
    return value.decode() or None
