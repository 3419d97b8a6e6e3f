"""The figures of what travels for a container elsewhere: its image, its build, its mounts, its ports."""

import contextlib
import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

from bed import HERE, SCRATCH, SSH, HAProxy, Place, Trouble, fleet, need, program
from figures import DEVICE, RUN, TARGET, Figure, median, ms, paired, ready, turns
from trees import grow

LINK = "rtt=20ms,rate=50mbit"
PYTHON = "testbed/python"
# As text on the command line: the container has no file of it, the peer needs none.
CONTAINED = ("python3", "-c", (HERE / "contained.py").read_text())


def size(count):
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


# ------------------------------------------------------------------- update


def update(quick):
    """Bytes over the link for a new version of an image: Lighter, and `docker save | ssh docker load`."""
    changed = 100_000
    ready("remote", f"{DEVICE}:{LINK}", TARGET)
    numbers, seconds = itertools.count(), {"lighter": [], "save | load": []}
    with Place(DEVICE) as edge, Place(TARGET) as cloud, SSH(cloud) as ssh:
        def carried(name, carry):
            image = f"benchmark/app:{next(numbers)}"
            version(edge, image, changed)
            before = edge.ask("traffic", "eth0")["bytes"]
            seconds[name].append(carry(image))
            count = edge.ask("traffic", "eth0")["bytes"] - before
            there = cloud.ask("timed", ["docker", "images", "-q", image], {"DOCKER_HOST": cloud.engine})
            # Lighter brings it by its id, without a name.
            if name != "lighter" and not there["stdout"].strip():
                raise Trouble(f"{image} did not arrive")
            return count

        def ours(image):
            return edge.docker(edge.door, "run", "--rm", image, "true")

        def theirs(image):
            pipe = f"set -o pipefail; docker save {image} | {ssh.command()} root@{cloud.address} docker load"
            return edge.run("bash", "-c", pipe, DOCKER_HOST=edge.engine)

        samples = turns(2 if quick else 7, {
            "lighter": lambda: carried("lighter", ours),
            "save | load": lambda: carried("save | load", theirs)}, warmup=1)
    shown = {name: size(median(found)) for name, found in samples.items()}
    times = {name: ms(median(found[1:])) for name, found in seconds.items()}
    return [Figure(
        f"bytes over the link for a version of a 41 MB image with {changed // 1000} kB of changes, run and all",
        "`docker save \\| ssh docker load`",
        f"{shown['lighter']} against {shown['save | load']}; in {times['lighter']} against {times['save | load']}",
        paired(samples, "save | load", "lighter"), least=50, aim=200, higher=True,
        samples={**samples, "seconds": seconds})]


def version(place, image, changed):
    """Makes an image on a node's engine that differs from all others in its last layer."""
    content, name = SCRATCH / "program", "benchmark-version"
    content.write_bytes(os.urandom(changed))
    place.docker(place.engine, "create", "--name", name, "testbed/layers", "true")
    try:
        place.docker(place.engine, "cp", str(content), f"{name}:/program")
        place.docker(place.engine, "commit", name, image)
    finally:
        place.docker(place.engine, "rm", name)


# --------------------------------------------------------------- neighbours


def neighbours(quick):
    """An image for two nodes beside each other: the first copy, which the device sends, and the second, from the first node."""
    second, image = "host2", "testbed/layers:latest"
    ready("remote", f"{DEVICE}:{LINK}", TARGET, second, images=("busybox",))
    seconds = {"device": [], "neighbour": []}
    with Place(DEVICE) as edge, Place(TARGET) as one, Place(second) as other:
        def copied(name, place):
            before = edge.ask("traffic", "eth0")["bytes"]
            seconds[name].append(edge.docker(
                edge.door, "run", "--rm", "--label", f"lighter.target={place.node}", image, "true"))
            return edge.ask("traffic", "eth0")["bytes"] - before

        samples = {"device": [], "neighbour": []}
        for turn in range(-1, 2 if quick else 7):
            found = {"device": copied("device", one), "neighbour": copied("neighbour", other)}
            if turn >= 0:
                for name, count in found.items():
                    samples[name].append(count)
            ident = edge.ask("timed", ["docker", "images", "-q", "--no-trunc", image], {"DOCKER_HOST": edge.engine})
            for place in (one, other):
                place.docker(place.engine, "rmi", ident["stdout"].strip())
    seconds = {name: found[1:] for name, found in seconds.items()}
    peer = "the copy to the first node, from the device"
    return [
        Figure("bytes over the device's link for a 41 MB image's copy to a second node, run and all", peer,
               f"{size(median(samples['neighbour']))} against {size(median(samples['device']))}",
               paired(samples, "device", "neighbour"), least=50, aim=200, higher=True,
               samples={**samples, "seconds": seconds}),
        Figure("time for that, the nodes beside each other, the device at 50 Mbit/s, 20 ms", peer,
               f"{ms(median(seconds['neighbour']))} against {ms(median(seconds['device']))}",
               paired(seconds, "device", "neighbour"), least=1.5, aim=3, higher=True, samples=seconds)]


# -------------------------------------------------------------------- build


def build(quick):
    """Bytes over the link for a build whose context has not changed: Lighter, and `docker build` on a remote context."""
    files, folder, count = 2000 if quick else 8000, SCRATCH / "context", 2 if quick else 7
    ready("remote", f"{DEVICE}:{LINK}", TARGET)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        held = grow(folder, files, "build")
        (folder / "Dockerfile").write_text("FROM busybox\nCOPY . /src\nRUN true\n")
        with Place(DEVICE) as edge, Place(TARGET) as cloud, SSH(cloud) as ssh:
            hosts = {"lighter": (edge.door, {}), "tcp": (f"tcp://{cloud.address}:2375", {}),
                     "ssh": (ssh.host, {"PATH": ssh.path("plain")})}
            classic = built(edge, folder, hosts, count, {"DOCKER_BUILDKIT": "0"})
            plugins = {"DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": str(buildx())}
            kit = built(edge, folder, {name: hosts[name] for name in ("lighter", "tcp")}, count, plugins)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    name = f"bytes over the link for a build of an unchanged context of {size(held)}"
    return [figure_of_build(f"{name}, classic builder", f"classic builder, {peer}", classic, other, bounds)
            for other, peer, bounds in (("tcp", "`DOCKER_HOST=tcp://`", {"least": 20, "aim": 100}),
                                        ("ssh", "`DOCKER_HOST=ssh://`", {"least": 20, "aim": 100}))
            ] + [figure_of_build(f"{name}, BuildKit", "buildx, `DOCKER_HOST=tcp://`", kit, "tcp",
                                 {"least": 20, "aim": 100})]


def built(edge, folder, hosts, count, environment):
    """Bytes at the device's interface and seconds, of builds that come after one of the same context."""
    seconds = {name: [] for name in hosts}

    def one(name):
        host, more = hosts[name]
        before = edge.ask("traffic", "eth0")["bytes"]
        seconds[name].append(
            edge.docker(host, "build", "-t", "benchmark/built", str(folder), **more, **environment))
        return edge.ask("traffic", "eth0")["bytes"] - before

    samples = turns(count, {name: lambda name=name: one(name) for name in hosts}, warmup=1)
    return {**samples, "seconds": {name: found[1:] for name, found in seconds.items()}}


def figure_of_build(name, peer, samples, other, bounds):
    times = {who: ms(median(samples["seconds"][who])) for who in ("lighter", other)}
    return Figure(
        name, peer,
        f"{size(median(samples['lighter']))} against {size(median(samples[other]))}; "
        f"in {times['lighter']} against {times[other]}",
        paired(samples, other, "lighter"), higher=True, samples=samples, **bounds)


def buildx():
    """A folder of settings for the docker client in which BuildKit's plugin is."""
    need_plugin()
    folder = SCRATCH / "docker"
    (folder / "cli-plugins").mkdir(parents=True, exist_ok=True)
    shutil.copy2(PLUGIN, folder / "cli-plugins" / PLUGIN.name)
    return folder


PLUGIN = HERE.parent / ".build" / "clients" / "cli-plugins" / "docker-buildx"


def need_plugin():
    done = subprocess.run([HERE.parent / "scripts" / "need", "buildx"], text=True, capture_output=True)
    if done.returncode or not PLUGIN.exists():
        raise Trouble(f"buildx could not be had: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")


# --------------------------------------------------------------------- sync


def sync(quick):
    """The first sync of a mounted tree until its container starts, against `rsync -az` over the same link."""
    files, home, numbers = 4000 if quick else 20_000, SCRATCH / "trees", itertools.count()
    rsync, totals = need("rsync", "rsync"), []
    shutil.rmtree(home, ignore_errors=True)
    ready("remote", f"{DEVICE}:{LINK}", TARGET)
    with Place(DEVICE) as edge, Place(TARGET) as cloud, SSH(cloud) as ssh:
        @contextlib.contextmanager
        def tree():
            """One that nobody has seen, for both of a round."""
            turn = next(numbers)
            folder = home / str(turn // 2)
            if turn % 2 == 0:
                folder.mkdir(parents=True)
                totals.append(grow(folder, files, folder.name))
            yield folder
            if turn % 2 == 1:
                shutil.rmtree(folder)

        def begun(*options):
            """Until the container's first word: its end, and what comes home then, is not in it."""
            command = ["docker", "run", "--rm", *options, "busybox", "echo", "up"]
            answer = edge.ask("output", command, {"DOCKER_HOST": edge.door})
            if answer["status"] or not answer["bytes"]:
                raise Trouble(f"docker run: status {answer['status']}: {answer['stderr'].strip()}")
            return answer["until_first"]

        def ours():
            with tree() as folder:
                plain = begun()
                return begun("-v", f"{folder}:/tree") - plain

        def theirs():
            copy = home / "copy"
            with tree() as folder:
                seconds = edge.run(rsync, "-az", "-e", ssh.command(), f"{folder}/", f"root@{cloud.address}:{copy}/")
                shutil.rmtree(copy)
                return seconds

        try:
            samples = turns(2 if quick else 5, {"lighter": ours, "rsync": theirs}, warmup=1)
        finally:
            shutil.rmtree(home, ignore_errors=True)
    return [Figure(
        f"first sync of a mounted tree, {files:,} files, {size(median(totals))}, 50 Mbit/s, 20 ms",
        "`rsync -az` over ssh",
        f"{ms(median(samples['lighter']))} against {ms(median(samples['rsync']))}",
        paired(samples, "lighter", "rsync"), least=1.0, aim=0.6, samples=samples)]


# ------------------------------------------------------------------ million


def tiny(folder, files):
    """A tree of so many files of some hundred bytes: what costs memory is their number."""
    for index in range(files):
        if index % 100 == 0:
            here = folder / f"part{index // 100 % 97}" / f"shelf{index // 100}"
            here.mkdir(parents=True)
        with open(f"{here}/source{index}.txt", "wb") as file:
            file.write(b"line of source %d\n" % index * (1 + index % 7))
    os.sync()


def million(quick):
    """What lighterd holds in memory at most, at both ends, while a tree of a million files is mounted."""
    few, many, home = 10_000, 100_000 if quick else 1_000_000, SCRATCH / "million"
    ready("remote", DEVICE, TARGET)
    peaks, seconds = {}, {}
    pids = {"device": int(fleet("pid", DEVICE)), "node": int(fleet("pid", TARGET))}
    shutil.rmtree(home, ignore_errors=True)
    try:
        with Place(DEVICE) as edge:
            edge.docker(edge.door, *RUN)
            for files in (few, many):
                folder = home / str(files)
                tiny(folder, files)
                for pid in pids.values():
                    # The peak begins anew.
                    Path(f"/proc/{pid}/clear_refs").write_text("5")
                seconds[files] = edge.docker(edge.door, "run", "--rm", "-v", f"{folder}:/tree", "busybox", "true")
                peaks[files] = {end: peak(pid) for end, pid in pids.items()}
    finally:
        shutil.rmtree(home, ignore_errors=True)
    samples = {f"{end}, {files} files": [found[end]] for files, found in peaks.items() for end in found}
    samples["seconds"] = list(seconds.values())
    return [
        Figure(
            f"memory of lighterd, at most, while {many:,} files are mounted: {end}", f"the same with {few:,} files",
            f"{peaks[many][end] / 1e6:.1f} MB against {peaks[few][end] / 1e6:.1f} MB; whole run in {ms(seconds[many])}",
            peaks[many][end] / 1e6, unit="MB", least=80, aim=50, samples=samples)
        for end in pids]


def peak(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) << 10


# --------------------------------------------------------------------- edit


def edit(quick):
    """From a line saved on the device until it is seen in a running container, and from there back."""
    folder, name = SCRATCH / "edited", "benchmark-edit"
    ready("remote", f"{DEVICE}:{LINK}", TARGET, images=("busybox", PYTHON))
    shutil.rmtree(folder, ignore_errors=True)
    grow(folder, 2000, "edit")
    try:
        with Place(DEVICE) as edge, Place(TARGET) as cloud:
            edge.docker(
                edge.door, "run", "-d", "--name", name, "-v", f"{folder}:/tree", PYTHON, *CONTAINED, "answer", "/tree")
            try:
                samples = edge.ask("edits", str(folder), 5 if quick else 30, 0.5)
            finally:
                edge.docker(edge.door, "rm", "-f", name)
            rtt = median(edge.ask("connect_times", cloud.address, 2375, 15)["times"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return [Figure(
        f"a line saved {where}, 2,000 files mounted, 20 ms", "none: absolute",
        f"{ms(median(samples[way]))}, of which the link {ms(rtt / 2)}; slowest {ms(max(samples[way]))}",
        median(samples[way]) * 1e3, unit="ms", least=300, aim=rtt * 1e3 + 30, samples={**samples, "rtt": [rtt]})
        for way, where in (
            ("there", "on the device until a container sees it"), ("back", "by a container until the device sees it"))]


# --------------------------------------------------------------------- port


def port(quick):
    """A published port of a container elsewhere: throughput against haproxy's, delay above the link's."""
    return throughput(quick) + delay(quick)


OURS, ENGINES, PROXYS, BARE = 7790, 7791, 7792, 7793


class Server:
    """A container that serves, started through a Docker socket and published there."""

    def __init__(self, place, host, published):
        self.place, self.host, self.name = place, host, f"benchmark-port-{published}"
        place.docker(
            host, "run", "-d", "--name", self.name, "-p", f"{published}:9000", PYTHON, *CONTAINED, "serve", "9000")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.place.docker(self.host, "rm", "-f", self.name)


def throughput(quick):
    """Nodes on one bridge, without a rate or a delay: what is measured is the forwarding."""
    count = (100 if quick else 400) << 20
    ready("remote", DEVICE, TARGET, images=("busybox", PYTHON))
    with Place(DEVICE) as edge, Place(TARGET) as cloud, Server(edge, edge.door, OURS), \
            Server(cloud, cloud.engine, ENGINES), HAProxy.before_port(edge, PROXYS, f"{cloud.address}:{ENGINES}"):
        def rate(host, number):
            return lambda: edge.ask("fetch", host, number, count)["rate"]

        samples = turns(3 if quick else 9, {
            "lighter": rate("127.0.0.1", OURS), "haproxy": rate("127.0.0.1", PROXYS),
            "direct": rate(cloud.address, ENGINES)})
    shown = {name: f"{median(found) / 1e6:,.0f} MB/s" for name, found in samples.items()}
    return [Figure(
        "throughput of a published port, without a limit of the link", "haproxy in TCP mode, without TLS",
        f"{shown['lighter']} against {shown['haproxy']} (without a proxy {shown['direct']})",
        paired(samples, "lighter", "haproxy"), least=0.6, aim=0.9, higher=True, samples=samples)]


def delay(quick):
    """A small request and its response on an open connection, above the same with an echo beside the container."""
    ready("remote", f"{DEVICE}:{LINK}", TARGET, images=("busybox", PYTHON))
    with Place(DEVICE) as edge, Place(TARGET) as cloud, Server(edge, edge.door, OURS):
        echo = program(TARGET, [*CONTAINED, "serve", str(BARE)], "echo.log", lambda: listens(cloud, BARE))
        try:
            answer = edge.ask("exchanges", {"lighter": ["127.0.0.1", OURS], "bare": [cloud.address, BARE]},
                              50 if quick else 400)
        finally:
            echo.terminate()
            echo.wait(timeout=10)
    samples = answer["times"]
    extra = median(a - b for a, b in zip(samples["lighter"], samples["bare"]))
    return [Figure(
        "delay of a published port, a small request on an open connection", "a bare TCP echo at the target, 20 ms",
        f"{median(samples['lighter']) * 1e3:.2f} ms against {median(samples['bare']) * 1e3:.2f} ms", extra * 1e3,
        unit="ms", least=1, aim=0.3, samples=samples)]


def listens(place, number):
    try:
        place.ask("connect_times", place.address, number, 1)
        return True
    except Trouble:
        return False


FIGURES = {"update": update, "neighbours": neighbours, "build": build, "sync": sync, "million": million, "edit": edit, "port": port}
