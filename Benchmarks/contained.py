"""What runs in containers, and beside them as a peer: python3 -c TEXT VERB ARGUMENT.

  serve PORT      answers each connection: `echo` sends back what comes, `send N` sends so many bytes
  answer FOLDER   sees edits of FOLDER/source.txt, and answers each in FOLDER/answer.txt
"""

import os
import socket
import sys
import threading
import time

# Seconds between seeing an edit and the answer, so that each travels alone.
BETWEEN = 0.5


def attend(connection):
    """The first line says what is wanted."""
    with connection, connection.makefile("rb", buffering=0) as incoming:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        words = incoming.readline().split()
        if words[:1] == [b"echo"]:
            connection.sendall(b"!")
            while piece := connection.recv(65536):
                connection.sendall(piece)
        elif words[:1] == [b"send"]:
            left, piece = int(words[1]), memoryview(os.urandom(1 << 20))
            while left:
                left -= connection.send(piece[:left])


def serve(port):
    listener = socket.create_server(("0.0.0.0", int(port)))
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=attend, args=(connection,), daemon=True).start()


def answer(folder):
    """Both nodes share the machine's clock: the answer says when the edit was seen, and when it was written itself."""
    source, known, last = f"{folder}/source.txt", None, None
    while True:
        time.sleep(0.001)
        try:
            status = os.stat(source)
            found = (status.st_ino, status.st_mtime_ns, status.st_size)
            if found == known:
                continue
            with open(source) as f:
                number = next((line.split()[1] for line in f if line.startswith("edit ")), None)
        except OSError:
            continue
        seen, known = time.monotonic_ns(), found
        if number is None or number == last:
            continue
        last = number
        time.sleep(BETWEEN)
        with open(f"{folder}/answer.txt", "w") as f:
            f.write(f"{number} {seen} {time.monotonic_ns()}\n")


if __name__ == "__main__":
    {"serve": serve, "answer": answer}[sys.argv[1]](*sys.argv[2:])
