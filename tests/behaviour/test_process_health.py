"""The health check of local servers, on real sockets that misbehave."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from parkmeter.drivers.process_health import HealthCheck


@contextlib.contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Return the port of a server that runs `serve` on one connection after the other."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(20)


def dripping(text: bytes, every: float) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        for byte in text:
            connection.sendall(bytes([byte]))
            time.sleep(every)

    return answer


def saying(text: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(text)


def test_a_server_that_drips_its_answer_costs_the_clock_no_more_than_a_silent_one():
    with server(dripping(b"HTTP/1.1 200 OK\r\n", every=0.1)) as port:
        began = time.monotonic()
        assert not HealthCheck().passes("run", port, "/ping", 0.5)
        assert time.monotonic() - began < 1.0


def test_an_answer_slower_than_a_look_is_found_by_a_later_look():
    asked = []

    def slowly(connection: socket.socket) -> None:
        asked.append(time.monotonic())
        time.sleep(1.0)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    with server(slowly) as port:
        check, looks = HealthCheck(), 0
        began = time.monotonic()
        while not check.passes("run", port, "/ping", 5):
            looks += 1
            assert time.monotonic() - began < 5
            time.sleep(0.05)
        assert time.monotonic() - began < 2
    assert looks > 1
    assert len(asked) == 1, "one question at a time"
    assert check._pending == {}


def test_a_look_never_waits_longer_than_half_a_second_whatever_the_timeout():
    with server(lambda connection: connection.recv(1)) as port:
        check = HealthCheck()
        for longest in (0.9, 0.1, 0.1):
            began = time.monotonic()
            assert not check.passes("run", port, "/ping", 2)
            assert time.monotonic() - began < longest


def test_a_question_that_could_not_be_asked_is_asked_again(monkeypatch):
    with server(saying(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        check = HealthCheck()
        with monkeypatch.context() as limited:

            def start(_thread: threading.Thread) -> None:
                raise RuntimeError("can't start new thread")

            limited.setattr(threading.Thread, "start", start)
            with pytest.raises(RuntimeError):
                check.passes("run", port, "/ping", 5)
        give_up = time.monotonic() + 30
        while not check.passes("run", port, "/ping", 5):
            assert time.monotonic() < give_up


def test_only_the_first_line_of_the_answer_is_waited_for():
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-")
        dripping(b"Length: 0", every=0.1)(connection)

    with server(answer) as port:
        began = time.monotonic()
        assert HealthCheck().passes("run", port, "/ping", 0.5)
        assert time.monotonic() - began < 0.5


def test_a_first_line_may_come_in_pieces():
    with server(dripping(b"HTTP/1.0 200 OK\r\n\r\n", every=0.001)) as port:
        assert HealthCheck().passes("run", port, "/ping", 0.5)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"x" * 100_000,
    ],
)
def test_what_is_no_200_is_no_answer(text):
    with server(saying(text)) as port:
        assert not HealthCheck().passes("run", port, "/ping", 0.5)


def test_a_server_that_is_not_there_is_asked_again_at_once():
    with server(saying(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        pass
    check = HealthCheck()
    assert not check.passes("run", port, "/ping", 0.5)
    assert check._not_before == {}


def test_a_server_that_hung_is_let_breathe_and_forgotten_after_its_end(monkeypatch):
    monkeypatch.setattr("parkmeter.drivers.process_health.PAUSE", 0.2)
    asked = []

    def hang(connection: socket.socket) -> None:
        asked.append(time.monotonic())
        connection.recv(1)  # until the other side gives up

    check = HealthCheck()
    with server(hang) as port:
        for run in ("first", "second", "second", "third"):
            assert not check.passes(run, port, "/ping", 0.05)
        assert set(check._not_before) == {"first", "second", "third"}
        time.sleep(0.25)
        check.passes("fourth", port, "/ping", 0.05)
    assert set(check._not_before) == {"fourth"}
    assert len(asked) == 4
