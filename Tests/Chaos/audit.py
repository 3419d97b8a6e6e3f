"""What has to hold when all is mended and quiet, and what may never be seen on the way: each finding is a sentence."""

import time
from collections import namedtuple

from schedule import DEVICE, WORKERS

Finding = namedtuple("Finding", "workload invariant text")
LOST, DIFFERS = "an acknowledged workload is lost", "a view differs from the engines"
BRIEF = 5  # seconds that a list may be odd while things are broken


class Audit:
    def __init__(self, fleet, load, witness):
        self.fleet, self.load, self.witness = fleet, load, witness
        self.checks, self.odd_since, self.brief, self.pending = 0, {}, [], 0

    def on_the_way(self):
        """What the device lists while things are broken: one container per name, with its id for life.

        What is left of a create that was given up, or of an older epoch at a node that comes back, may be listed until it
        is removed there, which is soon: such a name counts if it stays odd.
        """
        listed = self.fleet.listed()
        if listed is None:
            return []
        self.checks += 1
        now, odd = time.monotonic(), {}
        for name, entries in listed.items():
            workload = self.load.workloads.get(name)
            ids = sorted(identity[:12] for identity, _, _ in entries)
            if len(entries) > 1:
                odd[name] = f"docker ps -a lists it {len(entries)} times: {ids}"
            elif workload and workload.id and not workload.removal and ids != [workload.id[:12]]:
                odd[name] = f"docker ps -a calls it {ids[0]}, docker run {workload.id[:12]}"
        self.brief += [f"{name}: {odd[name]}" for name in odd.keys() - self.odd_since.keys()]
        self.odd_since = {name: self.odd_since.get(name, now) for name in odd}
        return [Finding(name, DIFFERS, text) for name, text in odd.items() if now - self.odd_since[name] > BRIEF]

    def at_the_end(self):
        """Everything that is not as it should be now."""
        engines = {node: self.fleet.listed(engine=node) for node in (DEVICE, *WORKERS)}
        listed = self.fleet.listed()
        deaf = [node for node, there in engines.items() if there is None] + ([] if listed is not None else ["front door"])
        if deaf:
            return [Finding(None, DIFFERS, f"no answer from {', '.join(deaf)}")]
        self.checks += 1
        truth = {}  # {name: [(node, id, state, code)]}
        for node, there in engines.items():
            for name, entries in there.items():
                short = name.removesuffix(f".{DEVICE}") if node != DEVICE else name
                truth.setdefault(short, []).extend((node, *entry) for entry in entries)
        found = self.on_the_way()
        for workload in list(self.load.workloads.values()):
            found += self.lost(workload, truth.get(workload.name, []), listed.get(workload.name, []))
        for name in sorted({*truth, *listed}):
            found += self.differs(name, truth.get(name, []), listed.get(name, []))
        return found + self.gateway_differs(truth)

    def lost(self, workload, held, listed):
        name = workload.name
        if workload.removal == "done":
            return [Finding(name, DIFFERS, f"it was removed, but {where(held) or 'docker ps -a'} has it")] if held or listed else []
        if not workload.acknowledged or workload.removal or workload.kind == "passing" and not held:
            return []
        if not held:
            return [Finding(name, LOST, "no engine has it")]
        running = self.witness.now_running(name)
        if workload.kind == "service" and len(running) != 1:
            return [Finding(name, LOST, f"{len(running)} of its processes run; engines: {where(held)}")]
        if workload.kind != "service" and (running or any(state != "exited" for _, _, state, _ in held)):
            return [Finding(name, LOST, f"it has not ended: {where(held)}")]
        return []

    def differs(self, name, held, listed):
        """The device's list against the engines."""
        if len(held) > 1:
            return [Finding(name, DIFFERS, f"several engines have it: {where(held)}")]
        if [entry[1:] for entry in listed] != [entry[2:] for entry in held]:
            return [Finding(name, DIFFERS, f"docker ps -a says {[e[1:] for e in listed]}, engines: {where(held)}")]
        return []

    def gateway_differs(self, truth):
        """`lighter ps` against the engines; leases whose create was given up expire at the gateway by themselves, later."""
        try:
            known = self.fleet.workloads()
        except RuntimeError as e:
            return [Finding(None, DIFFERS, f"lighter ps: {e}")]
        self.pending = sum(w["state"] == "pending" for w in known)
        shown = {(w["name"], w["target"]) for w in known if w["state"] in ("running", "paused")}
        running = {(name, node) for name, held in truth.items() for node, _, state, _ in held if state == "running"}
        return [Finding(name, DIFFERS, f"lighter ps has it at {node}, whose engine does not run it") for name, node in
                sorted(shown - running)] + [
            Finding(name, DIFFERS, f"it runs at {node}, of which lighter ps says nothing") for name, node in
            sorted(running - shown)]


def where(held):
    return ", ".join(f"{node} {identity[:12]} {state}{f' ({code})' if code else ''}" for node, identity, state, code in held)
