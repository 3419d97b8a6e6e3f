"""One campaign: a load, faults from a seed, and what was found when all was mended again."""

import collections
import subprocess
import threading
import time

from audit import Audit, Finding
from fleet import Fleet
from load import MARK, Load
from record import Record
from schedule import DEVICE, steps
from witness import Witness

TWICE, STUCK = "an exclusive workload ran twice at a time", "a program did not end or come up in time"
PROOF = "proof"
QUIET = 90  # seconds in which all has to be as it should be


class Campaign:
    def __init__(self, seed, faults, shown=True):
        self.seed, self.faults = seed, faults
        self.record, self.fleet = Record(shown), Fleet()
        self.load = Load(seed, self.fleet, self.record)
        self.findings, self.counts = [], collections.Counter()
        self.quiet_after, self.proved = None, threading.Event()

    def run(self):
        """Runs it all: the findings."""
        self.fleet.up()
        self.load.clear()
        self.witness = Witness(self.fleet.cgroups, self.record, self.overlapping)
        self.audit = Audit(self.fleet, self.load, self.witness)
        self.witness.start()
        self.prove_witness()
        self.load.start()
        ending = threading.Event()
        looker = threading.Thread(target=self.look_on, args=(ending,), daemon=True)
        looker.start()
        try:
            self.break_things()
        finally:
            self.load.stop()
            ending.set()
            looker.join()
            self.fleet.mend()
            self.record.add("all is mended")
        self.wait_for_quiet()
        self.witness.stop()
        return self.findings

    def prove_witness(self):
        """Two containers with one mark, past Lighter: a witness that does not tell of them would never tell."""
        names = [f"{PROOF}-{number}" for number in range(2)]
        try:
            for name in names:
                self.fleet.docker("run", "-d", "--name", name, "--env", f"{MARK}={PROOF}", "busybox", "sleep", "60",
                                  engine=DEVICE)
            if not self.proved.wait(10):
                raise RuntimeError("the witness does not see two containers with the same mark")
        finally:
            self.fleet.docker("rm", "-f", *names, engine=DEVICE)
            self.witness.forget(PROOF)

    def break_things(self):
        due = time.monotonic()
        for step in steps(self.seed, self.faults):
            due += step.pause
            time.sleep(max(0, due - time.monotonic()))
            self.record.add(f"{step.action} {step.node}")
            if step.is_fault:
                self.counts[step.action] += 1
            try:
                self.fleet.act(step.action, step.node)
            except (RuntimeError, subprocess.TimeoutExpired) as e:
                self.find(Finding(None, STUCK, f"{step.action} {step.node}: {e}"))
            due = max(due, time.monotonic() - 1)  # a machine that is late goes on from there

    def look_on(self, ending):
        while not ending.wait(1):
            for finding in self.audit.on_the_way():
                self.find(finding)

    def wait_for_quiet(self):
        """Waits until nothing is amiss twice in a row; what still is after a long time counts."""
        began, calm = time.monotonic(), 0
        while calm < 2:
            amiss = self.audit.at_the_end()
            calm = 0 if amiss else calm + 1
            if amiss and time.monotonic() - began > QUIET:
                for finding in amiss:
                    self.find(finding)
                return
            time.sleep(0.5)
        self.quiet_after = time.monotonic() - began

    def overlapping(self, workload, places):
        if workload == PROOF:
            return self.proved.set()
        self.find(Finding(workload, TWICE, " and ".join(places)))

    def find(self, finding):
        if finding not in self.findings:
            self.findings.append(finding)
            self.record.add(sentence(finding), finding.workload, is_loud=True)

    # ------------------------------------------------------------------ report

    def report(self):
        """The counts, and of each violation the timeline of its workload."""
        workloads = list(self.load.workloads.values())
        kinds = collections.Counter(w.kind for w in workloads if w.acknowledged)
        moves, longest, whose, closest = self.gaps()
        faults = self.counts.total()
        lines = [
            f"seed {self.seed}: {faults} faults: " + ", ".join(f"{n} {k}" for k, n in sorted(self.counts.items())),
            "workloads acknowledged: " + ", ".join(f"{n} {k}" for k, n in sorted(kinds.items()))
            + f"; not acknowledged: {self.load.refused}; removed: {sum(w.removal == 'done' for w in workloads)}",
            f"runs seen: {len(self.witness.runs)}; moves: {moves}, where the new run began {closest:.2f} s after the end of the "
            f"old one at least; longest until a service ran again: {longest:.1f} s {whose}",
            f"the witness looked {self.witness.looks} times, at most {self.witness.longest_pause * 1000:.0f} ms apart; "
            f"{self.audit.checks} checks of views, {len(self.audit.brief)} names odd for a moment, "
            f"{self.audit.pending} leases left to expire; quiet "
            + (f"{self.quiet_after:.1f} s after all was mended" if self.quiet_after is not None else "never"),
            *(f"for a moment {text}" for text in self.audit.brief),
            f"violations: {len(self.findings)}",
        ]
        for finding in self.findings:
            lines.append(sentence(finding))
        for workload in dict.fromkeys(f.workload for f in self.findings):
            lines += ["", f"what happened to {workload}:" if workload else "what happened:", *self.record.of(workload)]
        return "\n".join(lines)

    def gaps(self):
        """How often work moved, the longest time in which a service did not run, and whose, and the shortest at a move."""
        moves, longest, whose, closest = 0, 0.0, "", float("inf")
        of = collections.defaultdict(list)
        for run in self.witness.runs:
            of[run.workload].append(run)
        for name, runs in of.items():
            for former, later in zip(runs, runs[1:]):
                gap = later.first - former.last
                if former.node != later.node:
                    moves, closest = moves + 1, min(closest, gap)
                if name.startswith("s") and gap > longest:
                    longest, whose = gap, f"({name}, from {former.last:.1f} s)"
        return moves, longest, whose, closest


def sentence(finding):
    return f"VIOLATION: {finding.workload or 'fleet'}: {finding.invariant}: {finding.text}"
