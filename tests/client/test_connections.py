"""Connections of the client: reuse, answers that break off, proxies, TLS, lines and events."""

import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from parkmeter.client import Client, UnreachableError, connections
from parkmeter.client.connections import (
    BrokenOffError,
    Connections,
    NotConnectedError,
    Response,
    SilentError,
    Timeout,
)

PATIENT = Timeout(10, 10)
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """A server that answers the requests of each connection with the next of `answers`.

    An answer of None closes the connection without one; an empty one is silence. `heads`: what the
    requests began with.
    """

    def __init__(self, *answers: bytes | None, tls: ssl.SSLContext | None = None) -> None:
        self._answers = list(answers)
        self._tls = tls
        self.heads: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):  # it is stopped, or a client does not believe its certificate
            while self._answers:
                plain, _ = self._listener.accept()
                self.connections += 1
                plain.settimeout(10)
                with plain:
                    self._answer(plain)

    def _answer(self, peer: socket.socket) -> None:
        while self._answers:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = peer.recv(65536)
                if not piece:
                    return
                head += piece
            self.heads.append(head)
            answer = self._answers.pop(0)
            if head.startswith(b"CONNECT"):
                peer.sendall(answer)
                with self._tls.wrap_socket(peer, server_side=True) as inner:
                    self._answer(inner)
                return
            if answer:
                peer.sendall(answer)
                if b"Content-Length: 2" not in answer:
                    return
            elif answer is None:
                return
            else:
                peer.recv(1)


@pytest.fixture
def to() -> Iterator[Callable[..., Connections]]:
    """Connections that are closed after the test."""
    made: list[Connections] = []

    def make(
        url: str, headers: dict[str, str] | None = None, *, proxies: bool = False
    ) -> Connections:
        made.append(Connections(url, headers or {}, proxies=proxies))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    made: list[Peer] = []

    def make(*answers: bytes | None, **given: ssl.SSLContext) -> Peer:
        made.append(Peer(*answers, **given))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def asked(ours: Connections, timeout: Timeout = PATIENT) -> Response:
    return ours.send("GET", "/a", {}, None, timeout)


def test_a_connection_is_used_again_once_its_answer_is_read(to, peer):
    server = peer(WHOLE, WHOLE, WHOLE)
    ours = to(server.url, {"User-Agent": "x"})
    assert [asked(ours).read() for _ in range(3)] == [b"ok"] * 3
    assert server.connections == 1
    assert all(b"\r\nUser-Agent: x\r\n" in head for head in server.heads)


def test_an_answer_that_was_not_read_takes_its_connection_with_it(to, peer):
    server = peer(WHOLE, WHOLE)
    ours = to(server.url)
    asked(ours).close()
    assert asked(ours).read() == b"ok"
    assert server.connections == 2


def test_a_connection_that_the_other_side_has_closed_is_not_used(to, peer):
    server = peer(WHOLE.replace(b": 2", b":2"), None, WHOLE)
    ours = to(server.url)
    asked(ours).read()
    (idle,) = ours._idle
    assert select.select([idle.sock], [], [], 10)[0], "the server closes it after this answer"
    with pytest.raises(BrokenOffError):
        asked(ours)
    assert asked(ours).read() == b"ok"
    assert server.connections == 3


CUT = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    b"nonsense\r\n\r\n",
]


@pytest.mark.parametrize("answer", CUT)
def test_an_answer_that_breaks_off_is_an_error(to, peer, answer):
    ours = to(peer(answer).url)
    with pytest.raises(BrokenOffError):
        asked(ours).read()
    assert ours._idle == []


def test_chunks_are_joined_and_an_answer_without_a_length_ends_with_its_connection(to, peer):
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n"
    )
    endless = b"HTTP/1.1 200 OK\r\n\r\nok"
    assert asked(to(peer(chunked).url)).read() == b"ok"
    assert asked(to(peer(endless).url)).text == "ok"


@pytest.mark.parametrize("value", ["ключ", "a\r\nX: b"])
def test_a_header_that_cannot_be_sent_is_no_broken_connection(to, peer, value):
    server = peer(WHOLE)
    with pytest.raises(ValueError, match=r"encode|header"):
        to(server.url).send("GET", "/a", {"Idempotency-Key": value}, None, PATIENT)
    assert server.heads == []


def test_an_interim_answer_is_not_the_answer(to, peer):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    server = peer(b"HTTP/1.1 100 Continue\r\n\r\n" + hints * 2 + WHOLE, WHOLE, hints * 99)
    ours = to(server.url)
    for _ in range(2):
        answer = asked(ours)
        assert (answer.status, answer.read()) == (200, b"ok")
    with pytest.raises(BrokenOffError):
        asked(ours)
    assert server.connections == 1


def test_silence_and_no_connection_are_different(to, peer):
    quick = Timeout(5, 0.05)
    with pytest.raises(SilentError):
        asked(to(peer(b"").url), quick)
    with pytest.raises(NotConnectedError):
        asked(to("http://127.0.0.1:9"), quick)


def test_a_proxy_of_the_environment_gets_the_whole_address(to, peer, monkeypatch):
    server = peer(WHOLE)
    monkeypatch.setenv("http_proxy", f"http://us%40er:secret@127.0.0.1:{server.port}")
    ours = to("http://gateway.test:81/prod", {"Authorization": "t"}, proxies=True)
    assert asked(ours).read() == b"ok"
    assert server.heads[0].startswith(b"GET http://gateway.test:81/prod/a HTTP/1.1\r\n")
    assert b"\r\nHost: gateway.test:81\r\n" in server.heads[0]
    assert b"\r\nProxy-Authorization: Basic dXNAZXI6c2VjcmV0\r\n" in server.heads[0]


def test_an_exception_to_the_proxy_is_heeded(to, peer, monkeypatch):
    server = peer(WHOLE)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert asked(to(server.url, proxies=True)).read() == b"ok"


def test_tls_goes_through_a_proxy_as_a_tunnel_and_checks_the_certificate(
    to, peer, monkeypatch, tmp_path
):
    both = tmp_path / "both.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    make += ["-subj", "/CN=gateway.test", "-addext", "subjectAltName=DNS:gateway.test"]
    make += ["-keyout", str(tmp_path / "key.pem"), "-out", str(both)]
    subprocess.run(make, check=True, capture_output=True, timeout=60)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(both, tmp_path / "key.pem")
    tunnel = b"HTTP/1.1 200 OK\r\n\r\n"
    server = peer(tunnel, WHOLE, tls=serving)
    monkeypatch.setenv("https_proxy", f"127.0.0.1:{server.port}")
    ours = to("https://gateway.test", {"Authorization": "secret"}, proxies=True)
    monkeypatch.setattr(ours, "_tls", ssl.create_default_context(cafile=both))
    assert asked(ours).read() == b"ok"
    assert server.heads[0].startswith(b"CONNECT gateway.test:443 HTTP/1.")
    assert b"secret" not in server.heads[0]
    assert b"secret" in server.heads[1]
    monkeypatch.setenv("https_proxy", f"127.0.0.1:{peer(tunnel, tls=serving).port}")
    with pytest.raises(NotConnectedError, match="CERTIFICATE_VERIFY_FAILED"):
        asked(to("https://gateway.test", proxies=True))


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [("socks5://127.0.0.1:9", "socks5"), ("http://us:secret@127.0.0.1:port", "has no address")],
)
def test_a_proxy_that_cannot_be_used_is_an_error_with_the_next_step(monkeypatch, proxy, reason):
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(UnreachableError, match=f"{reason}.*Check PARKMETER_URL") as refused:
        Client("https://gateway.test", token="t")
    assert not refused.value.sent
    assert "secret" not in str(refused.value)


def test_a_host_that_is_no_name_is_not_connected(to):
    with pytest.raises(NotConnectedError):
        asked(to("http://a..b"), PATIENT)


def split(body: bytes, size: int) -> Response:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return Response(200, {}, "", pieces)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_and_events_are_the_same_however_the_body_is_cut(size):
    body = "a\r\nb\rü€\n\n\r\rlast".encode()
    assert list(split(body, size).lines()) == ["a", "b", "ü€", "", "", "", "last"]
    assert list(split(b"a\r", size).lines()) == ["a"]
    stream = (
        "\ufeffdata: one\r\n\r\n: comment\nevent: error\ndata:two\ndata:  three\nid: 4\n\n"
        "event: empty\n\ndata\n\ndata: unfinished"
    )
    assert list(split(stream.encode(), size).events()) == [
        ("message", "one"),
        ("error", "two\n three"),
        ("message", ""),
    ]


def test_a_long_line_costs_as_much_as_its_length():
    pieces = [b"x" * 1000] * 2000
    (line,) = Response(200, {}, "", pieces).lines()
    assert len(line) == 2_000_000
    assert connections._PIECE_BYTES >= 1000
