"""What Testcontainers' Ryuk does, for where its image cannot be had: removes by label when its last caller is gone.

Callers connect to port 8080 and send filters, a line each, as a URL's query (`label=a=b&label=c`); each is answered
`ACK`. When no caller has been connected for RYUK_RECONNECTION_TIMEOUT, everything that a filter names is removed
through the engine's socket, and Ryuk ends.
"""

import _socket

# Before the imports that take their time: callers do not wait for the log.
door = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
door.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
door.bind(("0.0.0.0", 8080))
door.listen(16)

import http.client  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import socket  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from urllib.parse import parse_qs, quote  # noqa: E402

FIRST_CALL_SECONDS = 60
# What is listed where, under which key of the answer, and by which of its fields it is removed.
KINDS = (("containers", "/containers/json?all=1&", None, "Id", "?force=1&v=1"), ("networks", "/networks?", None, "Id", ""),
         ("volumes", "/volumes?", "Volumes", "Name", "?force=1"), ("images", "/images/json?", None, "Id", "?force=1"))


class Engine(http.client.HTTPConnection):
    def __init__(self):
        super().__init__("docker", timeout=60)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect("/var/run/docker.sock")

    @classmethod
    def ask(cls, method, path):
        engine = cls()
        engine.request(method, path)
        answer = engine.getresponse()
        body = answer.read()
        engine.close()
        return answer.status, body


class Ryuk:
    def __init__(self):
        self.lock, self.filters, self.callers, self.idle_since = threading.Lock(), set(), 0, None

    def serve(self, caller):
        with caller, caller.makefile("r") as lines:
            try:
                for line in lines:
                    with self.lock:
                        self.filters.add(line.strip())
                    print(f"filter {line.strip()}", flush=True)
                    caller.sendall(b"ACK\n")
            except OSError:
                pass
        with self.lock:
            self.callers -= 1
            self.idle_since = time.monotonic()
        print("a caller has gone", flush=True)

    def accept(self):
        while True:
            descriptor, _ = door._accept()
            with self.lock:
                self.callers += 1
            threading.Thread(target=self.serve, args=(socket.socket(fileno=descriptor),), daemon=True).start()

    def is_over(self, patience):
        with self.lock:
            if self.idle_since is None:
                return self.callers == 0 and time.monotonic() - BEGAN > FIRST_CALL_SECONDS
            return self.callers == 0 and time.monotonic() - self.idle_since > patience

    def reap(self):
        for line in sorted(self.filters):
            filters = quote(json.dumps(parse_qs(line)))
            for kind, listing, key, ident, options in KINDS:
                _, body = Engine.ask("GET", f"{listing}filters={filters}")
                found = json.loads(body)
                for thing in (found[key] if key else found) or ():
                    status, said = Engine.ask("DELETE", f"/{kind}/{thing[ident]}{options}")
                    print(f"{kind} {thing[ident]}: {status} {said.decode().strip()}", flush=True)


def seconds(duration):
    """Go's way to write a short one: 10s, 500ms."""
    return float(duration[:-2]) / 1000 if duration.endswith("ms") else float(duration.rstrip("s"))


BEGAN = time.monotonic()
ryuk = Ryuk()
threading.Thread(target=ryuk.accept, daemon=True).start()
print("ryuk Started!", flush=True)
while not ryuk.is_over(seconds(os.environ.get("RYUK_RECONNECTION_TIMEOUT", "10s"))):
    time.sleep(0.1)
ryuk.reap()
print("ryuk is done", flush=True)
