"""A real gateway with few descriptors, and more clients than those without a token."""

import contextlib
import http.client
import json
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from parkmeter.leash.files import Files, read_json
from tests.support.gateway_process import TOKEN, GatewayProcess, eventually, ping_config

LIMIT = 256
HEAD = (
    b"POST %b HTTP/1.1\r\nHost: localhost\r\nAuthorization: wrong\r\n"
    b"Content-Length: 1000000\r\n\r\n"
)


def limited(soft: int, hard: int) -> tuple[str, ...]:
    """Return the beginning of a command line that runs the rest with so few descriptors."""
    return ("sh", "-c", f'ulimit -Sn {soft}; ulimit -Hn {hard}; exec "$@"', "sh")


class Drippers:
    """Connections that are answered 403 and go on dripping a body; `count` at once, for ever.

    They come from as many addresses of this machine as `sources`. One that ends is replaced.
    """

    def __init__(self, address: tuple[str, int], count: int, sources: int) -> None:
        self._address = address
        self._sources = sources
        self._lines: list[socket.socket | None] = [None] * count
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.made = self.rounds = 0

    def __enter__(self) -> Self:
        self._thread.start()
        eventually(lambda: self.rounds >= 2, 60)
        return self

    def __exit__(self, *_error: object) -> None:
        self._ending.set()
        self._thread.join()
        for line in self._lines:
            if line is not None:
                line.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            for number in range(len(self._lines)):
                self._drip(number)
            self.rounds += 1
            self._ending.wait(0.2)

    def _drip(self, number: int) -> None:
        line = self._lines[number]
        try:
            if line is None:
                source = (f"127.0.0.{2 + number % self._sources}", 0)
                line = socket.create_connection(self._address, 5, source)
                line.sendall(HEAD % (b"/flan", b"/endpoints/flan-t5/top-ups")[number % 2])
                self._lines[number] = line
                self.made += 1
            line.sendall(b"x")
        except OSError:
            if line is not None:
                line.close()
            self._lines[number] = None


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(
        tmp_path / "state", ping_config(), through=limited(LIMIT, LIMIT)
    ).start() as made:
        made.until("running")
        yield made


class Kept:
    """A client that keeps its connection."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._line = http.client.HTTPConnection(*gateway.address, timeout=20)

    def close(self) -> None:
        self._line.close()

    def request(self, method: str, path: str, body: object = None) -> tuple[int, dict]:
        sent = None if body is None else json.dumps(body)
        self._line.request(method, path, sent, {"Authorization": TOKEN})
        answer = self._line.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.fixture
def kept_client(gateway: GatewayProcess) -> Iterator[Kept]:
    with contextlib.closing(Kept(gateway)) as made:
        yield made


def deadline(gateway: GatewayProcess) -> float:
    return read_json(Files(str(gateway.state / "endpoints"), "flan-t5").deadline)["until"]


@pytest.mark.parametrize("sources", [1, 40], ids=["one address", "forty addresses"])
def test_dripping_connections_without_a_token_take_nothing_from_those_with_one(
    gateway, kept_client, sources
):
    kept, before = kept_client, deadline(gateway)
    assert kept.request("GET", "/whoami")[0] == 200
    with Drippers(gateway.address, LIMIT + 50, sources) as drippers:
        assert drippers.made >= LIMIT
        assert gateway.request("GET", "/health", timeout=10).status == 200
        for top_up in (
            kept.request("POST", "/endpoints/flan-t5/top-ups", {"minutes": 10})[0],
            gateway.request("POST", "/endpoints/flan-t5/top-ups", {"minutes": 10}).status,
        ):
            assert top_up == 201
        assert deadline(gateway) == pytest.approx(before + 1200, abs=1)
        assert gateway.request("POST", "/flan", {"inputs": "x"}).status == 200
        assert kept.request("POST", "/endpoints/flan-t5/eject")[0] == 200
        gateway.until("stopped")
        assert gateway.request("POST", "/endpoints/flan-t5/top-ups", {"minutes": 10}).status == 201
        gateway.until("running")
        assert gateway.request("POST", "/endpoints/flan-t5/eject").status == 200
        gateway.until("stopped")
        metrics = gateway.request("GET", "/metrics").body.decode()
    log = gateway.output()
    assert "a connection of 127.0.0." in log
    assert "refused a token from 127.0.0." in log
    closed, refused = (
        float(re.search(rf"\nparkmeter_{name}_total (\S+)", metrics)[1])
        for name in ("connections_closed", "tokens_refused")
    )
    assert closed > 0
    assert refused > 0
    assert closed + refused >= LIMIT  # some are closed before they have shown their token
    assert float(re.search(r"\nparkmeter_descriptors (\S+)", metrics)[1]) < LIMIT - 16


def test_the_limit_of_descriptors_is_raised_as_far_as_it_may(tmp_path):
    with GatewayProcess(
        tmp_path / "state", ping_config(), through=limited(128, 512)
    ).start() as made:
        limits = Path(f"/proc/{made.process.pid}/limits")
        if not limits.exists():
            pytest.skip("needs /proc")
        (line,) = [line for line in limits.read_text().splitlines() if "open files" in line]
        assert line.split()[3:5] == ["512", "512"]


# ── /health tells the truth ──────────────────────────────────────────────────────────────────────


def test_health_names_a_store_that_takes_no_change_and_is_answered_at_once(gateway):
    other = sqlite3.connect(gateway.state / "parkmeter.sqlite", isolation_level=None)
    with contextlib.closing(other):
        other.execute("BEGIN IMMEDIATE")

        def ill() -> bool:
            answer = gateway.request("GET", "/health", timeout=2)
            return answer.status == 503 and answer.json["reasons"] == ["store_not_writable"]

        eventually(ill)
        assert gateway.request("GET", "/health").json["code"] == "unhealthy"
        other.execute("ROLLBACK")
    eventually(lambda: gateway.request("GET", "/health").status == 200)
    assert "health: store_not_writable" in gateway.output()


def test_health_has_figures_for_an_administrator_only(gateway):
    seen = gateway.request("GET", "/health?verbose").json
    assert seen["figures"]["parkmeter_connections"] >= 1
    assert seen["figures"]["disk_free_bytes"] > 0
    assert gateway.request("GET", "/health").json.keys() == {"status", "version"}
    lesser = gateway.request("POST", "/tokens", {"name": "bob", "scopes": ["invoke"]}).json["token"]
    headers = {"Authorization": lesser}
    assert gateway.request("GET", "/health?verbose", headers=headers).status == 403
    assert gateway.request("GET", "/health?verbose", headers={"Authorization": ""}).status == 401


def test_a_page_of_another_site_gets_nothing_from_a_gateway_on_loopback(gateway):
    for path in ("/", "/health", "/endpoints"):
        with contextlib.closing(http.client.HTTPConnection(*gateway.address, timeout=10)) as line:
            line.request("GET", path, headers={"Host": "evil.example"})
            assert line.getresponse().status == 421
    assert gateway.request("GET", "/endpoints", headers={"Host": "any.proxy"}).status == 200


def test_a_slow_guesser_is_in_the_log_and_in_the_metrics(gateway):
    began = time.monotonic()
    for _ in range(11):
        assert (
            gateway.request("GET", "/whoami", headers={"Authorization": "nobody-has-this"}).status
            == 403
        )
    assert time.monotonic() - began > 0.9
    metrics = gateway.request("GET", "/metrics").body.decode()
    assert re.search(r"parkmeter_tokens_refused_total 11\b", metrics)
    assert "refused a token from 127.0.0.1" in gateway.output()
    assert "nobody-has-this" not in gateway.output()
