"""The figures: each function measures some of them, Lighter and its peers taking turns, and returns `Figure`s."""

import os
import re
import socket
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from bed import HERE, SCRATCH, SSH, HAProxy, Place, Trouble, fleet, need, socket_path, testbed

median = statistics.median
RUN = ("run", "--rm", "busybox", "true")
# The device and the target. Without a CPU quota: what is measured is Lighter, not the quota.
DEVICE, TARGET = "device", "host"


@dataclass
class Figure:
    """One line of the table. `value` is compared with `least` and `aim`; lower is better unless `higher`."""

    name: str
    peer: str
    measured: str
    value: float | None
    unit: str = "x"
    least: float | None = None
    aim: float | None = None
    higher: bool = False
    samples: dict = field(default_factory=dict)

    def verdict(self):
        if self.value is None:
            return "not measured"
        if self.least is None:
            return "for information"
        good = (lambda bound: self.value >= bound) if self.higher else (lambda bound: self.value <= bound)
        return "aim reached" if good(self.aim) else "passed" if good(self.least) else "MISSED"


def ms(seconds):
    return f"{seconds * 1e3:.0f} ms" if seconds >= 0.1 else f"{seconds * 1e3:.1f} ms"


def turns(count, subjects, warmup=2):
    """Calls every subject once a round, starting with another one each round; {name: [seconds]} of all rounds."""
    names, samples = list(subjects), {name: [] for name in subjects}
    for turn in range(-warmup, count):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            seconds = subjects[name]()
            if turn >= 0:
                samples[name].append(seconds)
    return samples


def paired(samples, ours, theirs):
    """Median of the rounds' ratios: what slows the machine for a while slows both of a pair."""
    return median(a / b for a, b in zip(samples[ours], samples[theirs]))


def ready(policy, *nodes, images=("busybox", "testbed/layers")):
    """A fleet made anew; the gateway is on the last node. The target has the images: shipping is another figure."""
    fleet("down")
    fleet("up", "--policy", policy, *nodes)
    if len(nodes) > 1:
        testbed("images", DEVICE)
        testbed("images", TARGET, *images)


# ------------------------------------------------------------------- local


def local(quick):
    """`docker run` that stays on the device, through the front door and at the engine itself."""
    ready("local", DEVICE)
    with Place(DEVICE) as place:
        samples = turns(5 if quick else 30, {
            "lighter": lambda: place.docker(place.door, *RUN), "engine": lambda: place.docker(place.engine, *RUN)})
    return [Figure(
        "local `docker run --rm busybox true`", "the engine, direct",
        f"{ms(median(samples['lighter']))} against {ms(median(samples['engine']))}",
        paired(samples, "lighter", "engine"), least=1.03, aim=1.01, samples=samples)]


def ping(quick):
    """`GET /_ping` on one keep-alive connection: the front door, haproxy before the same engine, the engine."""
    ready("local", DEVICE)
    need("gcc", "gcc")
    client = SCRATCH / "latency"
    subprocess.run(["gcc", "-O2", "-o", str(client), str(HERE / "latency.c")], check=True)
    with Place(DEVICE) as place, HAProxy.before_engine(place) as haproxy:
        count = 1000 if quick else 10_000
        command = [str(client), "GET /_ping", str(count), "200", socket_path(place.door), str(haproxy.path),
                   socket_path(place.engine)]
        answer = place.ask("timed", command, {})
        if answer["status"]:
            raise Trouble(answer["stderr"].strip())
    rows = [[int(x) / 1e9 for x in line.split()] for line in answer["stdout"].splitlines()]
    samples = dict(zip(("lighter", "haproxy", "engine"), map(list, zip(*rows))))
    p50 = {name: median(times) for name, times in samples.items()}
    shown = {name: f"{seconds * 1e6:.0f} us" for name, seconds in p50.items()}
    spread = {name: sorted(times)[::max(1, len(times) // 200)] for name, times in samples.items()}
    return [
        Figure("`GET /_ping`, p50", "haproxy before the same engine", f"{shown['lighter']} against {shown['haproxy']}",
               p50["lighter"] / p50["haproxy"], least=1.1, aim=0.5, samples=spread),
        Figure("`GET /_ping`, p50", "the engine, direct", f"{shown['lighter']} against {shown['engine']}",
               p50["lighter"] / p50["engine"])]


# ------------------------------------------------------------------ remote


def offload(quick):
    """An offloaded `docker run` at 50 ms, against the target's own engine and against remote contexts."""
    ready("remote", f"{DEVICE}:rtt=50ms", TARGET)
    with Place(DEVICE) as edge, Place(TARGET) as cloud, SSH(cloud) as ssh:
        subjects = {
            "target": lambda: cloud.docker(cloud.engine, *RUN),
            "lighter": lambda: edge.docker(edge.door, *RUN),
            "tcp": lambda: edge.docker(f"tcp://{cloud.address}:2375", *RUN),
            "ssh": lambda: edge.docker(ssh.host, *RUN, PATH=ssh.path("plain")),
            "ssh shared": lambda: edge.docker(ssh.host, *RUN, PATH=ssh.path("shared"))}
        samples = turns(4 if quick else 15, subjects)
        rtt = median(edge.ask("connect_times", cloud.address, 2375, 15)["times"])
        where = goes(edge, cloud)
    found = {name: median(seconds) for name, seconds in samples.items()}
    return [above("gateway beside the target", samples, rtt, where)] + [
        Figure("the same against a remote context", peer, f"{ms(found['lighter'])} against {ms(found[name])}",
               paired(samples, name, "lighter"), least=1.0, aim=aim, higher=True)
        for name, peer, aim in (
            ("tcp", "`DOCKER_HOST=tcp://`, without TLS", 2.0), ("ssh", "`DOCKER_HOST=ssh://`", 4.0),
            ("ssh shared", "`ssh://` with ControlMaster, already connected", 4.0))]


def nearby(quick):
    """The same with the gateway on the device's own network, 50 ms from the target."""
    ready("remote", f"{TARGET}:rtt=50ms", DEVICE)
    with Place(DEVICE) as edge, Place(TARGET) as cloud:
        samples = turns(4 if quick else 15, {
            "target": lambda: cloud.docker(cloud.engine, *RUN), "lighter": lambda: edge.docker(edge.door, *RUN)})
        rtt = median(edge.ask("connect_times", cloud.address, 2375, 15)["times"])
        where = goes(edge, cloud)
    return [above("gateway beside the device", samples, rtt, where)]


def above(gateway, samples, rtt, where):
    """Time above the same run on the target, in round trips; the rounds' differences, not the medians'."""
    extra = median(a - b for a, b in zip(samples["lighter"], samples["target"]))
    return Figure(
        f"offloaded `docker run --rm busybox true` at 50 ms, {gateway}", "the target's engine, on the target",
        f"{ms(median(samples['lighter']))} against {ms(median(samples['target']))} (ran on {where}; "
        f"round trip {ms(rtt)})", extra / rtt, unit="RTT", least=4, aim=2.5, samples={**samples, "rtt": [rtt]})


def goes(edge, cloud):
    """Makes sure that what was timed runs there: asks the target's engine, not Lighter."""
    name = f"benchmark-{os.getpid()}"
    edge.docker(edge.door, "run", "-d", "--name", name, "busybox", "sleep", "60")
    try:
        listed = cloud.ask("timed", ["docker", "ps", "--format", "{{.Names}}"], {"DOCKER_HOST": cloud.engine})
    finally:
        edge.docker(edge.door, "rm", "-f", name)
    if name not in listed["stdout"]:
        raise Trouble(f"containers do not run on {cloud.node}: see `Testbed/fleet cli nodes`")
    return cloud.node


def bulk(quick):
    """Output of an offloaded container against a bare TCP connection over the same link."""
    image = "testbed/layers"
    ready("remote", f"{DEVICE}:rtt=20ms,rate=50mbit", TARGET)
    with Place(DEVICE) as edge, Place(TARGET) as cloud:
        cat = ["docker", "run", "--rm", image, "cat"] + ["/opt/runtime.bin"] * (1 if quick else 2)
        expected = cloud.ask("output", cat, {"DOCKER_HOST": cloud.engine})
        port = cloud.ask("serve", cloud.address, expected["bytes"])["port"]
        rates = {"lighter": [], "tcp": []}
        for turn in range(-1, 3 if quick else 5):
            got = edge.ask("output", cat, {"DOCKER_HOST": edge.door})
            if got["status"] or got["sha256"] != expected["sha256"]:
                raise Trouble(f"{got['bytes']} of {expected['bytes']} bytes arrived: {got['stderr'].strip()}")
            peer = edge.ask("receive", cloud.address, port)
            if turn >= 0:
                rates["lighter"].append(got["rate"])
                rates["tcp"].append(peer["rate"])
    shown = {name: f"{median(found) * 8 / 1e6:.1f} Mbit/s" for name, found in rates.items()}
    return [Figure(
        f"output of an offloaded container, {expected['bytes'] / 1e6:.0f} MB, 50 Mbit/s, 20 ms", "bare TCP, same link",
        f"{shown['lighter']} against {shown['tcp']}", 100 * paired(rates, "lighter", "tcp"), unit="%", least=80, aim=95,
        higher=True, samples=rates)]


# ------------------------------------------------------------------ lighterd


def memory(pid):
    """Resident and proportional memory of a process, in bytes."""
    rss = int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
    pss = int(re.search(r"Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text())[1])
    return rss << 10, pss << 10


def cpu_seconds(pid):
    """CPU time of all threads so far: the scheduler's count, in nanoseconds, not the 10 ms ticks of `stat`."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def watched(pid, seconds):
    """What a process takes while nobody asks anything of it: (resident, proportional, percent of a core)."""
    begin, used = time.monotonic(), cpu_seconds(pid)
    time.sleep(seconds)
    share = 100 * (cpu_seconds(pid) - used) / (time.monotonic() - begin)
    return *memory(pid), share


def follow(path, target):
    """An open stream at a Docker socket: the connection, once its response has begun."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(path)
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: docker\r\n\r\n".encode())
    if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
        raise Trouble(f"GET {target}: not 200")
    return connection


def idle(quick):
    """lighterd on the device, connected, when nothing happens; then with 200 open streams, half of them remote."""
    ready("remote", f"{DEVICE}:rtt=20ms", TARGET)
    seconds, name = (10 if quick else 60), f"benchmark-{os.getpid()}"
    with Place(DEVICE) as edge:
        edge.docker(edge.door, *RUN)
        pid = int(fleet("pid", DEVICE))
        time.sleep(5)
        alone = watched(pid, seconds)
        # It must write once: an engine sends the head of `logs` with the first byte.
        edge.docker(edge.door, "run", "-d", "--name", name, "busybox", "sh", "-c", "echo up; sleep 600")
        streams = []
        try:
            path = socket_path(edge.door)
            for _ in range(100):
                streams.append(follow(path, "/v1.41/events"))
                streams.append(follow(path, f"/v1.41/containers/{name}/logs?follow=1&stdout=1"))
            time.sleep(2)
            busy = watched(pid, seconds)
        finally:
            for stream in streams:
                stream.close()
            edge.docker(edge.door, "rm", "-f", name)
    raw = {"idle": alone, "200 streams": busy}

    def line(what, found, unit, value, least, aim):
        shown = f"{found[0] / 1e6:.1f} MB resident, {found[1] / 1e6:.1f} MB proportional, {found[2]:.2f} % of a core"
        return Figure(f"`lighterd`, {what}", "none: absolute", shown, value, unit, least, aim, samples=raw)

    return [
        line("idle, memory", alone, "MB", alone[0] / 1e6, 18, 12),
        line(f"idle, CPU over {seconds} s", alone, "%", alone[2], 1, 0.2),
        line("200 open streams, memory", busy, "MB", busy[0] / 1e6, 30, 20)]


# ------------------------------------------------------------------- ledger


def built(product):
    """The path of one of the benchmarks that are Swift, once it is built."""
    scratch = ["--scratch-path", os.environ.get("LIGHTER_BENCH_BUILD") or str(HERE / ".build")]
    build = ["swift", "build", "-c", "release", "--package-path", str(HERE), "--product", product, *scratch]
    done = subprocess.run(build, text=True, capture_output=True)
    if done.returncode:
        raise Trouble(f"{product} does not build: {(done.stdout.strip().splitlines() or ['?'])[-1]}")
    folder = subprocess.run([*build, "--show-bin-path"], text=True, capture_output=True, check=True).stdout.strip()
    return f"{folder}/{product}"


def ledger(quick):
    """Durable updates per second, 64 writers against one."""
    bench = built("LedgerBench")
    rates = {"one by one": [], "64 writers": []}
    for _ in range(2 if quick else 5):
        run = subprocess.run([bench, str(SCRATCH), "1"], text=True, capture_output=True, check=True)
        found = {int(n): float(rate) for n, rate in re.findall(r"^(\d+) writers: (\d+)", run.stdout, re.M)}
        rates["one by one"].append(found[1])
        rates["64 writers"].append(found[64])
    return [Figure(
        "durable updates/s into the ledger, 64 writers", "the same, one by one",
        f"{median(rates['64 writers']):,.0f}/s against {median(rates['one by one']):,.0f}/s",
        paired(rates, "64 writers", "one by one"), least=10, aim=20, higher=True, samples=rates)]


FIGURES = {"local": local, "ping": ping, "offload": offload, "nearby": nearby, "bulk": bulk, "idle": idle,
           "ledger": ledger}
