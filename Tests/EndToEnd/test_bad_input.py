"""Garbage, lies and strangers on every port: a clear answer, no crash, nothing lost."""

import random

import socket
import ssl
import struct


from fixture import Case, lighter_only


@lighter_only
class BadInput(Case):
    def setUp(self):
        super().setUp()
        self.pids = self.all_pids()
        self.addCleanup(self.assert_unharmed)

    def all_pids(self):
        return {n: self.fleet("pid", n).line for n in ("edge1", "cloud1", "gateway")}

    def assert_unharmed(self):
        self.assertEqual(self.all_pids(), self.pids, "a program died")
        self.assertEqual(self.docker("run", "--rm", "busybox", "echo", "fine").out, "fine\n")

    @property
    def ports(self):
        host, _, port = self.world.gateway.rpartition(":")
        return [(host, int(port)), *((self.world.addresses[n], 7701) for n in ("edge1", "cloud1"))]

    def connect(self, where):
        """A connection to (host, port), or to a Unix socket."""
        if isinstance(where, tuple):
            return socket.create_connection(where, timeout=10)
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        s.connect(where)
        return s

    @property
    def door(self):
        return self.world.front_doors["edge1"].removeprefix("unix://")

    def say(self, where, data):
        """Sends all that the other side takes and returns what it answered before it closed (bounded by 10 s)."""
        with self.connect(where) as s:
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has closed already, as it may
            answer = b""
            try:
                while len(answer) < 1 << 20:
                    got = s.recv(65536)
                    if not got:
                        break
                    answer += got
            except ConnectionError:
                pass
            return answer

    def tls(self, where):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["lighter/1"])
        return context.wrap_socket(self.connect(where))

    # -------------------------------------------------------------- noise

    def test_noise_on_every_port_ends_only_its_own_connection(self):
        noise = random.Random(7)
        for where in [*self.ports, self.door]:
            for size in (1, 24, 4096, 300_000):
                with self.subTest(where=where, size=size):
                    self.say(where, noise.randbytes(size))

    def test_a_connection_that_says_nothing_holds_nobody_up(self):
        silent = [self.connect(where) for where in [*self.ports, self.door] for _ in range(20)]
        self.docker("run", "--rm", "busybox", "true")
        for s in silent:
            s.close()

    def test_a_head_of_1_MB_is_refused(self):
        answer = self.say(self.door, b"GET /_ping HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * (1 << 20) + b"\r\n\r\n")
        self.assertRegex(answer[:20], rb"^HTTP/1\.1 4(00|31) ")

    def test_ambiguous_framing_is_refused(self):
        post = b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        for what in (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
                     b"Content-Length: 0x2\r\n\r\n{}",
                     b"Content-Length : 2\r\n\r\n{}",
                     b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
                     b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"):
            with self.subTest(what=what):
                self.assertRegex(self.say(self.door, post + what)[:20], rb"^HTTP/1\.1 400 ")

    def test_a_body_that_is_not_json_is_refused_with_a_message(self):
        body = b'{"Image": "busybox", '
        answer = self.say(self.door, b"POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: "
                          b"application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        self.assertRegex(answer[:20], rb"^HTTP/1\.1 (400|500) ")  # 20.10 says 500, later engines 400
        self.assertIn(b'"message"', answer)

    def test_a_truncated_frame_and_a_broken_rule_end_only_their_own_link(self):
        gateway = self.ports[0]
        for name, data in (("half a header", b"\0\0\0\1"),
                           ("an unknown version", struct.pack(">BBHII", 9, 0, 1, 1, 0)),
                           ("an unknown type", struct.pack(">BBHII", 0, 9, 1, 1, 0)),
                           ("data for no stream", struct.pack(">BBHII", 0, 0, 0, 77, 4) + b"abcd"),
                           ("a frame of 4 GB", struct.pack(">BBHII", 0, 0, 1, 1, 0xFFFFFFFF)),
                           ("a message that is cut short", struct.pack(">BBHII", 0, 0, 1, 1, 3) + b"\xff\xff\x03"),
                           ("a message of 200 MB", struct.pack(">BBHII", 0, 0, 1, 1, 4) + b"\x80\x80\x80\x60")):
            with self.subTest(name=name):
                with self.tls(gateway) as s:
                    s.sendall(data)
                    if name not in ("half a header", "a message that is cut short"):  # those may still go on
                        s.settimeout(10)
                        try:
                            while s.recv(65536):
                                pass
                        except (ConnectionError, ssl.SSLError):
                            pass

    # ---------------------------------------------------------- strangers

    def test_a_stranger_without_a_certificate_cannot_link_to_a_node(self):
        self.connect(self.ports[2]).close()  # it listens
        try:
            with self.tls(self.ports[2]) as s:  # TLS 1.3: the refusal comes with the first read
                s.sendall(struct.pack(">BBHII", 0, 2, 1, 0, 7))  # a ping, which a link would answer
                answer = s.recv(100)
        except (ssl.SSLError, ConnectionError):
            answer = b""
        self.assertEqual(answer, b"")

    def join(self, token):
        return self.program("lighter", "join", self.world.gateway, "--token", token, "--name", f"x-{self.tag}"[:40],
                            "--state", self.scratch(), "--no-start")

    def test_a_token_that_is_no_token_is_refused_before_anything_is_asked(self):
        self.assertIn("token", self.one_line(self.join("lt1-banana")))

    def test_a_mistyped_token_is_told_from_a_wrong_one(self):
        token = self.fleet("cli", "token").line.splitlines()[0].split()[-1]
        wrong = token[:-4] + ("aaaa" if token[-4:] != "aaaa" else "bbbb")
        self.assertIn("token", self.one_line(self.join(wrong)))

    def test_a_token_works_once(self):
        token = self.fleet("cli", "token").line.splitlines()[0].split()[-1]
        first = self.join(token)
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertIn("token", self.one_line(self.join(token)))

    def test_a_token_of_another_fleet_is_refused(self):
        other = self.scratch()
        self.assertEqual(self.program("lighter-gateway", "init", "--data", other).returncode, 0)
        token = self.program("lighter-gateway", "token", "--data", other).stdout.split()[-1]
        self.one_line(self.join(token))

    def test_an_operator_of_another_fleet_is_refused(self):
        other = self.scratch()
        self.assertEqual(self.program("lighter-gateway", "init", "--data", other).returncode, 0)
        done = self.program("lighter", "nodes", "--gateway", self.world.gateway, "--credentials", other / "operator")
        self.assertRegex(self.one_line(done), "(?i)fleet|certificate")

    def test_a_gateway_that_is_not_there_is_one_line_with_a_remedy(self):
        host = self.ports[0][0]
        done = self.program("lighter", "nodes", "--gateway", f"{host}:9", "--credentials", self.world.credentials)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{host}:9", self.one_line(done))

    def test_a_command_line_that_is_wrong_exits_with_64(self):
        self.assertEqual(self.program("lighter", "explain").returncode, 64)
        self.assertEqual(self.program("lighter", "ps", "--format", "xml").returncode, 64)
