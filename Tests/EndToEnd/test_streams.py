"""Streams that are held open while very much passes: nobody keeps what has passed."""

import json
import re
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fixture import Case, eventually, lighter_only

EVENTS = 3000
CALLERS = 8
LOG_BYTES = 200_000_000
MEBIBYTE = 1 << 20
# What an allocator may keep of a burst; what grows with what passes is a hundred times as much.
GROWTH = 6 * MEBIBYTE


@lighter_only
class Streams(Case):
    def memory(self):
        """Resident bytes of both daemons."""
        found = {}
        for node in ("edge1", "cloud1"):
            status = Path("/proc", self.fleet("pid", node).line, "status").read_text()
            found[node] = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) << 10
        return found

    def assert_bounded(self, before, what):
        after = self.memory()
        for node, size in before.items():
            grown = after[node] - size
            print(f"      {what}: lighterd of {node} {size / MEBIBYTE:.1f} -> {after[node] / MEBIBYTE:.1f} MiB", flush=True)
            self.assertLess(grown, GROWTH, f"lighterd of {node} grew by {grown >> 20} MiB over {what}")

    def follow(self, *filters):
        """A client that follows events and counts those of signals: the count so far, in a list of one."""
        process = self.start("events", "--format", "{{json .}}", *filters, stdin=subprocess.DEVNULL)
        count = [0]

        def read():
            for line in process.stdout:
                count[0] += json.loads(line)["Action"] == "kill"
        threading.Thread(target=read, daemon=True).start()
        return count

    def signal(self, name, times):
        """An event for each: a signal that the container does not mind."""
        def send(share):
            connection = self.connection()
            for _ in range(share):
                connection.request("POST", f"/v1.41/containers/{name}/kill?signal=CONT")
                answer = connection.getresponse()
                answer.read()
                self.assertEqual(answer.status, 204)
        with ThreadPoolExecutor(CALLERS) as callers:
            list(callers.map(send, [-(-times // CALLERS)] * CALLERS))

    def test_thousands_of_events_cost_no_memory(self):
        name = self.service()
        followers = [self.follow(), self.follow("--filter", "type=container"),
                     self.follow("--filter", f"container={name}", "--filter", "event=kill")]

        def seen(number):
            before = [f[0] for f in followers]
            self.signal(name, number)
            eventually(f"{number} more events have come",
                       lambda: all(f[0] >= b + number for f, b in zip(followers, before)), 60)

        def is_heard():
            self.signal(name, 1)
            return all(f[0] for f in followers)
        eventually("all streams stand", is_heard)
        seen(300)
        size = self.memory()
        seen(EVENTS)
        self.assert_bounded(size, f"{EVENTS} events on {len(followers)} streams")

    def test_hundreds_of_megabytes_of_logs_cost_no_memory(self):
        name = self.name()
        line = "x" * 8000
        self.docker("create", "--name", name, "busybox", "sh", "-c",
                    f"yes {line} | head -c {LOG_BYTES}; sleep 600")
        events = self.follow()
        self.docker("start", name)
        connection = self.connection()
        connection.request("GET", f"/v1.41/containers/{name}/logs?follow=1&stdout=1")
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        read = 0
        while read < 20_000_000:
            read += len(answer.read1(1 << 20))
        size = self.memory()
        while read < LOG_BYTES:
            part = len(answer.read1(1 << 20))
            self.assertGreater(part, 0, f"the log ended after {read} bytes")
            read += part
        self.assert_bounded(size, f"{LOG_BYTES // 1_000_000} MB of logs")
        self.assertEqual(events[0], 0)
        self.assertEqual(self.state(name), "running")
