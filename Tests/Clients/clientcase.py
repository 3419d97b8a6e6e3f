"""What every test with a client library stands on: the front door, a docker-py client, names, clean-up, whereabouts."""

import contextlib
import http.client
import io
import json
import os
import secrets
import subprocess
import sys
import tarfile
import tempfile
import unittest
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import docker
from docker.transport.unixconn import UnixHTTPConnection

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(REPO / "Tests" / "EndToEnd"))

from fixture import PATIENCE, eventually  # noqa: E402,F401 (the tests take them from here)

# What `run` has found out about the test bed: front_door, engines, device, target, plain, policy, scratch.
WORLD = SimpleNamespace(**json.loads(os.environ.get("LIGHTER_CLIENTS_WORLD", "{}")))
IMAGES = ("busybox:latest", "testbed/work:latest", "testbed/web:latest", "testbed/python:latest",
          "testbed/layers:latest", "testbed/layers:v2")


class Response(http.client.HTTPResponse):
    """Mends docker-py, which loses what comes together with the head of a stream's answer, from every engine: it reads
    the head through a buffer, and the stream beside it."""

    def __init__(self, sock, *args, **options):
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = sock.makefile("rb", 0)
        self.fp.raw = self.fp

    def begin(self):
        super().begin()
        if self.fp and self.status != 101 and "raw-stream" not in self.getheader("Content-Type", ""):
            self.fp = io.BufferedReader(self.fp)


UnixHTTPConnection.response_class = Response


class Case(unittest.TestCase):
    """A test with names of its own, and everything it made removed in reverse order."""

    maxDiff = 4000

    def setUp(self):
        self.tag = f"cl-{secrets.token_hex(4)}"
        self.count = 0
        self.client = docker.from_env(timeout=PATIENCE)
        self.addCleanup(self.client.close)

    # -------------------------------------------------------------- things

    def name(self):
        self.count += 1
        return f"{self.tag}-{self.count}"

    def gone(self, remove, *args, **options):
        """Removed at the test's end, if it is still there."""
        def attempt():
            try:
                remove(*args, **options)
            except docker.errors.APIError as e:
                if e.status_code not in (404, 409):
                    raise
        self.addCleanup(attempt)

    def owned(self, container):
        self.gone(container.remove, force=True, v=True)
        return container

    def create(self, command="sleep 600", image="busybox", **options):
        options.setdefault("name", self.name())
        return self.owned(self.client.containers.create(image, command, **options))

    def start(self, command="sleep 600", image="busybox", **options):
        """A container in the background."""
        options.setdefault("name", self.name())
        return self.owned(self.client.containers.run(image, command, detach=True, **options))

    def finished(self, command, **options):
        """A container that has run to its end."""
        container = self.start(command, **options)
        container.wait()
        return container

    def network(self, **options):
        made = self.client.networks.create(self.name(), **options)
        self.gone(made.remove)
        return made

    def volume(self, **options):
        made = self.client.volumes.create(self.name(), **options)
        self.gone(made.remove, force=True)
        return made

    def folder(self):
        """A folder of the device, gone at the test's end."""
        folder = tempfile.TemporaryDirectory(dir=WORLD.scratch, prefix=f"{self.tag}-", ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    # ---------------------------------------------------------- whereabouts

    def whereabouts(self, name):
        """The nodes whose engines hold a container of this name (an offloaded one is NAME.ORIGIN there)."""
        found = set()
        for node, host in WORLD.engines.items():
            with docker_at(host) as engine:
                held = {n.lstrip("/") for c in engine.api.containers(all=True) for n in c["Names"]}
            if name in held or f"{name}.{WORLD.device}" in held:
                found.add(node)
        return found

    def assert_away(self, container):
        """It is where the policy says: on the other node, and nowhere else."""
        if not WORLD.plain:
            name = container if isinstance(container, str) else container.name
            self.assertEqual(self.whereabouts(name), {WORLD.target if WORLD.policy == "remote" else WORLD.device})

    def assert_built_away(self, name):
        """The image was made on the other node, where it has no name; to be asked before anything runs from it."""
        if WORLD.plain or WORLD.policy != "remote":
            return
        there = docker.DockerClient(base_url=WORLD.engines[WORLD.target], timeout=PATIENCE)
        self.addCleanup(there.close)
        self.assertEqual(there.images.get(self.client.images.get(name).id).tags, [])

    # -------------------------------------------------------------- looking

    def fetch(self, port, path="/", address="127.0.0.1"):
        """What a browser on the device gets."""
        def attempt():
            try:
                with urllib.request.urlopen(f"http://{address}:{port}{path}", timeout=10) as answer:
                    return answer.read().decode()
            except OSError:
                return None
        return eventually(f"an answer on port {port}", attempt)

    def status(self, container):
        container.reload()
        return container.status


def docker_at(host):
    """A client of one engine, for `with`."""
    return contextlib.closing(docker.DockerClient(base_url=host, timeout=PATIENCE))


def archive(**files):
    """A tar archive, as bytes, of names (with _ for .) and contents."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name.replace("_", "."))
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def members(chunks):
    """{name: content} of an archive that comes in pieces; None for what is no file."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        return {m.name: tar.extractfile(m).read() if m.isfile() else None for m in tar}


def ran(command, expect=0, timeout=None, **options):
    """Runs a program to its end; its exit code is what the test expects, or None for any."""
    done = subprocess.run([str(c) for c in command], text=True, capture_output=True, timeout=timeout or 3 * PATIENCE,
                          **options)
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {done.returncode}, not {expect}\n"
                             f"stdout: {done.stdout[-1500:]}\nstderr: {done.stderr[-1500:]}")
    return done
