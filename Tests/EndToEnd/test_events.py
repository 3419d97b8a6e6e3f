"""Events of the device and the fleet, merged."""

import json
import subprocess
import time

from fixture import AWAY, Case, UnixConnection, eventually, json_lines, lighter_only

STAY = ("--label", "lighter.policy=local")


class Events(Case):
    def follow(self, *filters):
        return self.start("events", "--format", "{{json .}}", *filters, stdin=subprocess.DEVNULL)

    def read_until(self, process, name, action):
        """The actions of one container, in order, up to and with this one."""
        seen = []
        while True:
            line = process.stdout.readline()
            self.assertTrue(line, f"events ended after {seen}")
            event = json.loads(line)
            if event["Actor"]["Attributes"].get("name") == name:
                seen.append(event["Action"])
                if event["Action"] == action:
                    return seen

    def test_a_containers_life_is_seen_here_and_away(self):
        since = f"{time.time():.9f}"
        process = self.follow("--since", since, "--filter", "type=container", "--filter", f"label=t={self.tag}")
        for where in (STAY, ()):
            name = self.name()
            self.docker("run", "--rm", "--name", name, "--label", f"t={self.tag}", *where, "busybox", "true")
            seen = [a for a in self.read_until(process, name, "destroy") if a not in ("attach", "resize")]
            self.assertEqual(seen, ["create", "start", "die", "destroy"])

    def test_past_events_are_given_and_end_at_the_time_asked_for(self):
        since, name = f"{time.time():.9f}", self.name()
        self.docker("run", "--name", name, "busybox", "sh", "-c", "exit 3", expect=3)
        found = self.docker("events", "--since", since, "--until", f"{time.time():.9f}", "--filter",
                            f"container={name}", "--format", "{{json .}}")
        events = {e["Action"]: e["Actor"]["Attributes"] for e in json_lines(found.out)}
        self.assertLessEqual({"create", "start", "die"}, set(events))
        self.assertEqual(events["die"]["exitCode"], "3")
        self.assertEqual(events["die"]["image"], "busybox")

    def test_past_events_of_a_container_that_is_gone_are_given(self):
        since, name = f"{time.time():.9f}", self.name()
        self.docker("run", "--rm", "--name", name, "--label", f"t={self.tag}", "busybox", "true")
        found = self.docker("events", "--since", since, "--until", f"{time.time():.9f}", "--filter",
                            f"label=t={self.tag}", "--format", "{{.Action}}")
        self.assertLessEqual({"create", "start", "die", "destroy"}, set(found.out.split()))

    def test_a_stream_of_events_begins_with_what_happens_next(self):
        old, new = self.name(), self.name()
        label = ("--label", f"t={self.tag}")
        self.docker("run", "--rm", "--name", old, *label, "busybox", "true")
        process = self.follow("--filter", f"label=t={self.tag}")
        time.sleep(0.5)  # nothing says that the stream stands
        self.docker("run", "--rm", "--name", new, *label, "busybox", "true")
        names = set()
        while True:
            event = json.loads(process.stdout.readline())
            names.add(event["Actor"]["Attributes"]["name"])
            if event["Action"] == "destroy":
                break
        self.assertEqual(names, {new})

    def test_events_are_filtered_by_what_happened(self):
        since, name = f"{time.time():.9f}", self.service()
        self.docker("pause", name)
        self.docker("unpause", name)
        found = self.docker("events", "--since", since, "--until", f"{time.time():.9f}", "--filter",
                            f"container={name}", "--filter", "event=pause", "--format", "{{.Action}}")
        self.assertEqual(found.out.split(), ["pause"])

    def test_events_here_and_away_come_in_the_order_of_time(self):
        since = f"{time.time():.9f}"
        made = [self.service(*where, "--label", f"t={self.tag}") for where in ((), STAY, (), STAY)]
        found = self.docker("events", "--since", since, "--until", f"{time.time():.9f}", "--filter",
                            f"label=t={self.tag}", "--filter", "event=start", "--format",
                            "{{.TimeNano}} {{.Actor.Attributes.name}}")
        events = [(int(time), name) for time, name in (line.split() for line in found.out.splitlines())]
        self.assertEqual([name for _, name in events], made)
        self.assertEqual(events, sorted(events))

    def sources(self):
        """Who tells the containers' node of changes, as its daemon says."""
        connection = UnixConnection(self.world.front_doors[AWAY].removeprefix("unix://"))
        try:
            connection.request("GET", "/lighter/node")
            node = json.loads(connection.getresponse().read())[0]
        finally:
            connection.close()
        return {s["Source"]: s for s in node["Sources"]}

    @lighter_only
    def test_a_start_and_an_end_are_told_by_the_kernel(self):
        before = self.sources()
        if before["ebpf"]["State"] != "used":
            self.skipTest(f"the kernel takes no programs: {before['ebpf']['Reason']}")
        def told():
            for script, code in (("true", 0), ("sleep 0.2; exit 5", 5)):
                self.docker("run", "--name", self.name(), "busybox", "sh", "-c", script, expect=code)
            now = self.sources()
            return all(now[source]["Told"] >= before[source]["Told"] + 2 for source in ("ebpf", "pidfd"))

        # On a busy machine the engine may be first for once; others' containers may be counted, too.
        eventually("the kernel has told of two", told)
