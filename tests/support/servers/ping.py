"""A minimal model server: answers 200 to every request. Its flags make it misbehave.

Standard library, sockets only: it must be up in some ten milliseconds, for tests wait for it.
"""

import argparse
import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from pathlib import Path

flags = argparse.ArgumentParser()
flags.add_argument("port", type=int)
flags.add_argument("--ready-after", type=float, default=0, help="seconds of 503")
flags.add_argument("--slow-answers", type=float, default=0, help="seconds each answer takes")
flags.add_argument("--mute-file", type=Path, help="while this file exists nothing is answered")
flags.add_argument("--ignore-sigterm", action="store_true")
flags.add_argument("--say", default="", help="a line on stderr")
flags.add_argument("--say-much", type=int, default=0, help="bytes on stdout")
flags.add_argument("--crash-after", type=float, help="seconds until it ends with exit code 3")
flags.add_argument("--pid-file", type=Path)
flags.add_argument("--worker-pid-file", type=Path, help="fork a worker in a session of its own")
flags.add_argument("--wiped-worker-pid-file", type=Path, help="a worker without its environment")
flags.add_argument("--escaped-worker-pid-file", type=Path, help="the same, in its own session")
flags.add_argument("--lost-worker-pid-file", type=Path, help="the same, without open files")
flags.add_argument("--unlock", action="store_true", help="the lock of its run, as it can")
flags.add_argument("--environment-file", type=Path, help="writes its environment there")
flags.add_argument("--answer", default="", help="JSON in every answer")
flags.add_argument("--device-file", type=Path, help="a GPU with memory for one: crashes if taken")
given = flags.parse_args()
born = time.monotonic()


def read_request(connection):
    """Read one request to its end: a body often comes in a piece of its own."""
    received = b""
    while not complete(received):
        piece = connection.recv(65536)
        if not piece:
            return
        received += piece


def complete(received):
    head, ended, body = received.partition(b"\r\n\r\n")
    fields = [line.partition(b":") for line in head.lower().split(b"\r\n")[1:]]
    named = {name: value.strip() for name, _, value in fields}
    if named.get(b"transfer-encoding") == b"chunked":
        return body.endswith(b"0\r\n\r\n")
    return bool(ended) and len(body) >= int(named.get(b"content-length", 0))


def sleep_for_ever():
    while True:
        time.sleep(60)


if given.ignore_sigterm:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if given.device_file:
    memory = given.device_file.open("w")
    try:
        fcntl.flock(memory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("CUDA out of memory")
if given.pid_file:
    given.pid_file.write_text(str(os.getpid()))
if given.environment_file:
    given.environment_file.write_text("\n".join(f"{k}={v}" for k, v in os.environ.items()))
if given.worker_pid_file and (worker := os.fork()) == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep_for_ever()
elif given.worker_pid_file:
    given.worker_pid_file.write_text(str(worker))
if given.wiped_worker_pid_file:
    command = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
    given.wiped_worker_pid_file.write_text(str(os.posix_spawn(command[0], command, {})))
if given.escaped_worker_pid_file:
    command = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
    escaped = os.posix_spawn(command[0], command, {}, setsid=True)
    given.escaped_worker_pid_file.write_text(str(escaped))
if given.lost_worker_pid_file:
    code = "import os, time; os.closerange(0, 256); time.sleep(600)"
    command = [sys.executable, "-I", "-S", "-c", code]
    given.lost_worker_pid_file.write_text(str(os.posix_spawn(command[0], command, {}, setsid=True)))
if given.unlock:
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            fcntl.flock(number, fcntl.LOCK_UN)
if given.say:
    sys.stderr.write(f"{given.say}\n")
    sys.stderr.flush()
for _ in range(given.say_much // 1000):
    sys.stdout.write("x" * 999 + "\n")
sys.stdout.flush()

answer = b"Content-Length: %d\r\n\r\n%b" % (len(given.answer), given.answer.encode())
kind = b"application/json" if given.answer else b"text/plain"
answer = b"Content-Type: %b\r\n%b" % (kind, answer)
listener = socket.create_server(("127.0.0.1", given.port), backlog=64)
while True:
    if given.crash_after is not None:
        listener.settimeout(max(0.001, given.crash_after - (time.monotonic() - born)))
    try:
        connection, _ = listener.accept()
    except TimeoutError:
        sys.exit(3)
    with connection:
        connection.settimeout(60)
        with contextlib.suppress(OSError):
            read_request(connection)
        while given.mute_file and given.mute_file.exists():
            time.sleep(0.01)
        time.sleep(given.slow_answers)
        ready = time.monotonic() - born >= given.ready_after
        status = b"200 OK" if ready else b"503 Service Unavailable"
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 %b\r\n%b" % (status, answer))
