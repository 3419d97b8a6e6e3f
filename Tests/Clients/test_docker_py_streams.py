"""docker-py: exec and attach, as values, streams and sockets."""

import socket
import threading

import docker
from clientcase import Case, eventually
from docker.utils.socket import frames_iter


def raw(sock):
    """The socket behind what docker-py returns."""
    return getattr(sock, "_sock", sock)


class Exec(Case):
    def test_output_and_exit_code(self):
        container = self.start()
        self.assert_away(container)
        found = container.exec_run(["sh", "-c", "echo out; exit 3"])
        self.assertEqual((found.exit_code, found.output), (3, b"out\n"))

    def test_environment_user_and_directory(self):
        found = self.start().exec_run(["sh", "-c", "echo $A; id -u; pwd"], environment={"A": "b"}, user="5",
                                      workdir="/etc")
        self.assertEqual(found.output, b"b\n5\n/etc\n")

    def test_demux_tells_the_streams_apart(self):
        out, err = self.start().exec_run(["sh", "-c", "echo out; echo err >&2"], demux=True).output
        self.assertEqual((out, err), (b"out\n", b"err\n"))

    def test_a_stream_comes_piece_by_piece(self):
        code, stream = self.start().exec_run(["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.4; done"], stream=True)
        self.assertIsNone(code)
        self.assertEqual(list(stream), [b"1\n", b"2\n", b"3\n"])

    def test_a_stream_with_demux(self):
        _, stream = self.start().exec_run(["sh", "-c", "echo a; sleep 0.3; echo b >&2"], stream=True, demux=True)
        self.assertEqual(list(stream), [(b"a\n", None), (None, b"b\n")])

    def test_a_socket_takes_input_and_sees_its_end(self):
        _, sock = self.start().exec_run(["sh", "-c", "tr a-z A-Z; echo done"], stdin=True, socket=True)
        self.addCleanup(sock.close)
        raw(sock).sendall(b"words\n")
        raw(sock).shutdown(socket.SHUT_WR)
        self.assertEqual(b"".join(data for _, data in frames_iter(sock, tty=False)), b"WORDS\ndone\n")

    def test_a_terminal(self):
        found = self.start().exec_run(["sh", "-c", "test -t 1 && echo terminal"], tty=True)
        self.assertEqual(found.output, b"terminal\r\n")

    def test_a_detached_one_goes_on(self):
        container = self.start()
        self.assertFalse(container.exec_run(["sh", "-c", "sleep 0.3; touch /tmp/done"], detach=True).output)
        eventually("its end", lambda: container.exec_run("test -e /tmp/done").exit_code == 0)

    def test_megabytes_pass_whole(self):
        found = self.start().exec_run("dd if=/dev/zero bs=64k count=256", stderr=False)
        self.assertEqual(found.output, bytes(16 << 20))

    def test_inspect_and_resize_by_the_low_level_client(self):
        container = self.start()
        made = self.client.api.exec_create(container.id, ["sh", "-c", "read x; stty size"], stdin=True, tty=True)
        self.assertEqual(self.client.api.exec_inspect(made["Id"])["Running"], False)
        sock = self.client.api.exec_start(made["Id"], tty=True, socket=True)
        self.addCleanup(sock.close)
        found = self.client.api.exec_inspect(made)
        self.assertEqual((found["Running"], found["ContainerID"]), (True, container.id))
        self.client.api.exec_resize(made["Id"], height=33, width=99)
        raw(sock).sendall(b"\n")
        self.assertIn(b"33 99", b"".join(data for _, data in frames_iter(sock, tty=True)))
        eventually("its exit code", lambda: self.client.api.exec_inspect(made["Id"])["ExitCode"] == 0)

    def test_a_missing_program_has_the_shells_code(self):
        found = self.start().exec_run("no-such-program")
        self.assertIn(found.exit_code, (126, 127))
        self.assertIn(b"no-such-program", found.output)

    def test_in_a_stopped_container_it_is_a_conflict(self):
        with self.assertRaises(docker.errors.APIError) as caught:
            self.finished("true").exec_run("true")
        self.assertEqual(caught.exception.status_code, 409)
        self.assertIn("is not running", caught.exception.explanation)

    def test_many_at_once(self):
        container, found = self.start(), {}

        def one(i):
            client = docker.from_env()
            found[i] = client.containers.get(container.id).exec_run(["sh", "-c", f"sleep 0.2; echo {i}"]).output
            client.close()
        threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(found, {i: b"%d\n" % i for i in range(8)})


class Attach(Case):
    def test_logs_so_far(self):
        self.assertEqual(self.finished(["sh", "-c", "echo a; sleep 0.1; echo b"]).attach(logs=True), b"a\nb\n")

    def test_a_stream_from_before_the_start(self):
        container = self.create(["sh", "-c", "echo a; sleep 0.3; echo b >&2"])
        stream = container.attach(stream=True, demux=True)
        container.start()
        self.assertEqual(list(stream), [(b"a\n", None), (None, b"b\n")])

    def test_a_socket_both_ways(self):
        container = self.create(["sh", "-c", "while read x; do echo got $x; done; echo end"], stdin_open=True)
        sock = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        self.addCleanup(sock.close)
        container.start()
        self.assert_away(container)
        for word in (b"one", b"two"):
            raw(sock).sendall(word + b"\n")
            self.assertEqual(next(frames_iter(sock, tty=False)), (1, b"got " + word + b"\n"))
        container.kill()
        self.assertEqual(list(frames_iter(sock, tty=False)), [])

    def test_input_that_ends_ends_a_container_whose_input_is_open_once(self):
        # Only the low-level client says StdinOnce.
        low = self.client.api.create_container("busybox", ["sh", "-c", "cat; echo end"], stdin_open=True,
                                               name=self.name())
        again = self.owned(self.client.containers.get(low["Id"]))
        self.assertTrue(again.attrs["Config"]["StdinOnce"])
        sock = again.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
        self.addCleanup(sock.close)
        again.start()
        raw(sock).sendall(b"words\n")
        raw(sock).shutdown(socket.SHUT_WR)
        self.assertEqual(b"".join(data for _, data in frames_iter(sock, tty=False)), b"words\nend\n")
        self.assertEqual(again.wait()["StatusCode"], 0)

    def test_a_terminal_and_its_size(self):
        container = self.create("sh", tty=True, stdin_open=True)
        sock = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
        self.addCleanup(sock.close)
        container.start()
        container.resize(height=40, width=100)
        raw(sock).settimeout(20)
        raw(sock).sendall(b"stty size; exit\n")
        seen = b""
        while b"40 100" not in seen:
            piece = raw(sock).recv(4096)
            self.assertTrue(piece, seen)
            seen += piece
        self.assertEqual(container.wait()["StatusCode"], 0)
