"""The minimal model server reads what it answers: closing over unread bytes resets a connection."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.clients.free_port import free_port, listens
from tests.support.gateway_process import PING_SERVER, eventually

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def port() -> Iterator[int]:
    port = free_port()
    server = subprocess.Popen([sys.executable, "-I", "-S", PING_SERVER, str(port)])
    try:
        eventually(lambda: listens(port))
        yield port
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize(
    "pieces",
    [
        [b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n", b"abc"],
        [b"POST / HTTP/1.1\r\nContent-Le", b"ngth: 3\r\n\r\na", b"bc"],
        [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", b"0\r\n\r\n"],
        [b"GET / HTTP/1.1\r\n\r\n"],
    ],
)
def test_it_answers_a_request_once_it_has_come(port, pieces):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        for piece in pieces[:-1]:
            client.sendall(piece)
            client.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.recv(1)
        client.settimeout(10)
        client.sendall(pieces[-1])
        received = b""
        while piece := client.recv(65536):
            received += piece
    assert received == ANSWER
