"""Published ports: they open on the device, wherever the container runs."""

import hashlib
import json
import subprocess

from fixture import DEVICE, TESTBED, Case, eventually, lighter_only

# What a user of the device does, run in the device's network: argument 1 is the address, 2 the port.
FETCH = "import sys,urllib.request as u; print(u.urlopen(f'http://{sys.argv[1]}:{sys.argv[2]}/', timeout=10).status)"
CONNECT = "import sys,socket as s; s.create_connection((sys.argv[1], int(sys.argv[2])), 5)"
DIGEST = """
import hashlib,socket,sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 30)
s.sendall(b'x' * int(sys.argv[3]))
s.shutdown(socket.SHUT_WR)
got = b''.join(iter(lambda: s.recv(65536), b''))
print(got.decode())
"""
DATAGRAMS = """
import socket,sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
for size in (1, 100, 1400, 4096, 9000, 60000):
    for attempt in range(5):
        s.sendto(b'd' * size, (sys.argv[1], int(sys.argv[2])))
        try:
            print(len(s.recv(65536)))
            break
        except TimeoutError:
            pass
"""
HOLD = "import socket,sys,time; s = socket.create_server((sys.argv[1], int(sys.argv[2]))); print('held', flush=True); time.sleep(60)"
# What runs in the container.
ANSWER_DIGEST = """
import hashlib,socket
l = socket.create_server(('0.0.0.0', 9000))
print('ready', flush=True)
while True:
    c, _ = l.accept()
    h = hashlib.sha256()
    for piece in iter(lambda: c.recv(65536), b''):
        h.update(piece)
    c.sendall(h.hexdigest().encode())
    c.close()
"""
SEND = """
import socket
l = socket.create_server(('0.0.0.0', 9000))
print('ready', flush=True)
while True:
    c, _ = l.accept()
    c.sendall(b'y' * 8000000)
    c.close()
"""
ECHO_DATAGRAMS = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('0.0.0.0', 9000))
print('ready', flush=True)
while True:
    data, who = s.recvfrom(65536)
    s.sendto(data, who)
"""


class Ports(Case):
    def on_device(self, program, *args, expect=0):
        """Runs a Python program in the device's network."""
        done = subprocess.run([TESTBED, "exec", DEVICE, "/usr/bin/python3", "-c", program, *map(str, args)], text=True,
                              capture_output=True, timeout=60)
        if expect is not None:
            self.assertEqual(done.returncode, expect, done.stderr)
        return done

    def reaches(self, port, address="127.0.0.1"):
        return self.on_device(CONNECT, address, port, expect=None).returncode == 0

    def web(self, *args):
        name = self.name()
        self.docker("run", "-d", "--name", name, *args, "testbed/web")
        self.assert_at("cloud1", name)
        return name

    def program(self, code, *args):
        """A container that runs a Python program, once it is ready."""
        name = self.name()
        self.docker("run", "-d", "--name", name, *args, "testbed/python", "python3", "-u", "-c", code)
        eventually("it is ready", lambda: "ready" in self.docker("logs", name).out)
        return name

    def port(self, name, key="8080/tcp"):
        """The first port of the device that leads there."""
        return int(self.docker("port", name, key).out.splitlines()[0].rpartition(":")[2])

    def test_a_port_is_open_on_the_device_for_as_long_as_the_container_runs(self):
        name = self.web("-p", "127.0.0.1:18080:8080")
        self.assertEqual(self.docker("port", name).line, "8080/tcp -> 127.0.0.1:18080")
        self.assertIn("127.0.0.1:18080->8080/tcp",
                      self.docker("ps", "--format", "{{.Ports}}", "--filter", f"name={name}").line)
        for _ in range(5):
            self.assertEqual(self.on_device(FETCH, "127.0.0.1", 18080).stdout.strip(), "200")
        self.docker("stop", "-t", "1", name)
        self.assertFalse(self.reaches(18080))
        self.assertEqual(self.docker("port", name).line, "")
        self.docker("start", name)
        self.assertEqual(self.on_device(FETCH, "127.0.0.1", 18080).stdout.strip(), "200")
        self.docker("restart", "-t", "1", name)
        eventually("it answers again", lambda: self.on_device(
            FETCH, "127.0.0.1", 18080, expect=None).stdout.strip() == "200")
        self.docker("rm", "-f", name)
        self.assertFalse(self.reaches(18080))

    def test_any_port_is_one_that_is_free_on_every_address(self):
        name = self.web("-p", "8080")
        lines = self.docker("port", name, "8080/tcp").out.splitlines()
        self.assertRegex(lines[0], r"^0\.0\.0\.0:\d+$")
        self.assertEqual(self.on_device(FETCH, "127.0.0.1", self.port(name)).stdout.strip(), "200")
        for line in lines[1:]:
            self.assertRegex(line, r"^(\[::\]|::):\d+$")
            self.assertEqual(self.on_device(FETCH, "[::1]", line.rpartition(":")[2]).stdout.strip(), "200")

    def test_all_that_an_image_exposes_is_published_with_one_flag(self):
        name = self.web("-P")
        self.assertEqual(self.on_device(FETCH, "127.0.0.1", self.port(name)).stdout.strip(), "200")
        self.assertEqual(self.inspect(name, "{{.HostConfig.PublishAllPorts}} {{.HostConfig.PortBindings}}"),
                         "true map[]")

    def test_a_range_gives_one_that_is_free(self):
        one, two = self.web("-p", "127.0.0.1:18100-18105:8080"), self.web("-p", "127.0.0.1:18100-18105:8080")
        # Which ones is not said: some engines go on after the last that they gave.
        found = {self.port(one), self.port(two)}
        self.assertEqual((len(found), found - set(range(18100, 18106))), (2, set()))

    def test_what_was_asked_for_is_shown_and_found(self):
        name = self.web("-p", "127.0.0.1:18081:8080", "-p", "127.0.0.1:18082:9999/udp")
        asked = json.loads(self.inspect(name, "{{json .HostConfig.PortBindings}}"))
        self.assertEqual(asked, {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18081"}],
                                 "9999/udp": [{"HostIp": "127.0.0.1", "HostPort": "18082"}]})
        shown = json.loads(self.inspect(name, "{{json .NetworkSettings.Ports}}"))
        self.assertEqual(shown, asked)
        self.assertIn(name, self.names("--filter", "publish=18081"))
        self.assertIn(name, self.names("--filter", "publish=18080-18085/tcp"))
        self.assertNotIn(name, self.names("--filter", "publish=18082"))
        self.assertIn(name, self.names("--filter", "publish=18082/udp"))

    def test_a_port_that_another_container_has_is_refused_at_the_start(self):
        first = self.web("-p", "127.0.0.1:18083:8080")
        second = self.name()
        found = self.docker("run", "-d", "--name", second, "-p", "127.0.0.1:18083:8080", "testbed/web", expect=125)
        self.assertIn("driver failed programming external connectivity", found.err)
        self.assertIn("Bind for 127.0.0.1:18083 failed: port is already allocated", found.err)
        self.assertEqual(self.state(second), "created")
        self.assertEqual(self.on_device(FETCH, "127.0.0.1", 18083).stdout.strip(), "200")
        self.docker("rm", "-f", first)
        self.docker("start", second)
        self.assertEqual(self.on_device(FETCH, "127.0.0.1", 18083).stdout.strip(), "200")

    def test_a_port_that_another_program_has_is_refused_at_the_start(self):
        holder = subprocess.Popen([TESTBED, "exec", DEVICE, "/usr/bin/python3", "-c", HOLD, "127.0.0.1", "18084"],
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.reap, holder)
        self.assertEqual(holder.stdout.readline(), "held\n")
        name = self.name()
        found = self.docker("run", "-d", "--name", name, "-p", "127.0.0.1:18084:8080", "testbed/web", expect=125)
        self.assertIn("18084: bind: address already in use", found.err)

    def test_a_client_that_ends_its_half_still_hears_the_answer(self):
        name = self.program(ANSWER_DIGEST, "-p", "127.0.0.1::9000")
        for size in (0, 1, 3_000_000):
            with self.subTest(size=size):
                self.assertEqual(self.on_device(DIGEST, "127.0.0.1", self.port(name, "9000/tcp"), size).stdout.strip(),
                                 hashlib.sha256(b"x" * size).hexdigest())

    def test_a_server_that_closes_at_once_is_heard_to_its_last_byte(self):
        name = self.program(SEND, "-p", "127.0.0.1::9000")
        count = ("import socket,sys,time; s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 30);"
                 "time.sleep(0.5); print(sum(map(len, iter(lambda: s.recv(65536), b''))))")
        self.assertEqual(self.on_device(count, "127.0.0.1", self.port(name, "9000/tcp")).stdout.strip(), "8000000")

    def test_datagrams_go_both_ways(self):
        name = self.program(ECHO_DATAGRAMS, "-p", "127.0.0.1::9000/udp")
        self.assertEqual(self.on_device(DATAGRAMS, "127.0.0.1", self.port(name, "9000/udp")).stdout.split(),
                         ["1", "100", "1400", "4096", "9000", "60000"])

    def test_many_connections_at_once(self):
        name = self.web("-p", "127.0.0.1::8080")
        many = ("import sys,concurrent.futures as f,urllib.request as u\n"
                "def get(_): return u.urlopen(f'http://{sys.argv[1]}:{sys.argv[2]}/', timeout=30).status\n"
                "with f.ThreadPoolExecutor(40) as pool: print(set(pool.map(get, range(120))))")
        self.assertEqual(self.on_device(many, "127.0.0.1", self.port(name)).stdout.strip(), "{200}")

    def test_a_port_nobody_listens_on_in_the_container_ends_the_connection(self):
        name = self.name()
        self.docker("run", "-d", "--name", name, "-p", "127.0.0.1:18085:7", "busybox", "sleep", "60")
        talk = ("import socket,sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)\n"
                "try: print(len(s.recv(10)))\nexcept ConnectionError: print(0)")
        self.assertEqual(self.on_device(talk, "127.0.0.1", 18085).stdout.strip(), "0")

    def test_a_port_is_free_for_the_next_run_of_a_container_that_ended(self):
        for _ in range(5):
            self.docker("run", "--rm", "-p", "127.0.0.1:18086:8080", "busybox", "true")

    @lighter_only
    def test_ports_are_open_again_after_a_restart_of_either_daemon(self):
        self.addCleanup(self.fleet, "up")
        name = self.web("-p", "127.0.0.1::8080")
        port = self.port(name)
        for node in ("edge1", "cloud1"):
            self.fleet("daemon", node, "kill")
            self.fleet("daemon", node, "start")
            eventually(f"it answers again after {node}'s", lambda: self.on_device(
                FETCH, "127.0.0.1", port, expect=None).stdout.strip() == "200", 30)
        self.assertEqual(self.port(name), port)

