"""`GET /events` over real HTTP: a whole gateway; clients that listen well, badly, too long."""

import http.client
import json
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.gateway_process import PING_SERVER, TOKEN, GatewayProcess, eventually


def config(endpoints: int) -> str:
    return "".join(
        f"""
        [endpoints.{name}]
        command = ["{sys.executable}", "{PING_SERVER}", "{{port}}"]
        initial_provision_time_minutes = 0
        price_per_hour = 6
        """
        for name in ["one", *(f"other-{number}" for number in range(1, endpoints))]
    )


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("state"), config(31)).start() as made:
        yield made


class Listening:
    """A client that listens on a socket; `news` are the bodies that came."""

    def __init__(self, gateway: GatewayProcess, token: str = TOKEN, path: str = "/events") -> None:
        self.connection = http.client.HTTPConnection(*gateway.address, timeout=20)
        self.connection.request("GET", path, headers={"Authorization": token})
        self.response = self.connection.getresponse()
        self.comments = 0

    def next(self) -> dict | None:
        """Return the next event; None at the end."""
        while True:
            line = self.response.readline()
            if not line:
                return None
            if line.startswith(b":"):
                self.comments += 1
            if line == b"event: endpoints\n":
                data = self.response.readline()
                assert self.response.readline() == b"\n"
                return json.loads(data.removeprefix(b"data: "))

    def until(self, holds: Callable[[dict], object]) -> dict:
        """Return the first event whose endpoint `one` is like that."""
        while (news := self.next()) is not None:
            if holds(news["endpoints"][0]):
                return news["endpoints"][0]
        raise AssertionError("the stream has ended")

    def close(self) -> None:
        self.connection.close()


def listening(gateway: GatewayProcess, token: str = TOKEN) -> closing:
    return closing(Listening(gateway, token))


def never_reads(gateway: GatewayProcess) -> socket.socket:
    """Open a client with a tiny buffer that reads nothing of the answer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect(gateway.address)
    client.sendall(f"GET /events HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\n\r\n".encode())
    return client


def test_a_change_reaches_every_listener_at_once_though_another_never_reads(gateway):
    with closing(never_reads(gateway)), listening(gateway) as ada, listening(gateway) as bob:
        head = {name.lower(): value for name, value in ada.response.getheaders()}
        assert ada.response.status == 200
        assert head["content-type"] == "text/event-stream; charset=utf-8"
        assert head["cache-control"] == "no-store"
        first = ada.next()
        assert first == bob.next() or len(first["endpoints"]) == 31
        for minutes in range(1, 20):
            before = time.monotonic()
            gateway.request("POST", "/endpoints/one/top-ups", {"minutes": minutes})
            for listener in (ada, bob):
                seconds = minutes * (minutes + 1) / 2 * 60
                listener.until(lambda one, least=seconds - 30: one["seconds_left"] > least)
            assert time.monotonic() - before < 2
        gateway.request("POST", "/endpoints/one/eject")
        assert ada.until(lambda one: one["status"] == "stopped")["seconds_left"] == 0


def test_a_burst_of_changes_is_at_most_five_events_a_second(gateway):
    with listening(gateway) as ada:
        ada.next()
        begun = time.monotonic()
        for _ in range(40):
            gateway.request("POST", "/endpoints/one/top-ups", {"minutes": 1})
        ada.connection.sock.settimeout(0.5)
        count = 0
        try:
            while ada.next():
                count += 1
        except TimeoutError:
            pass
        assert 1 <= count <= (time.monotonic() - begun) * 5 + 1


def test_a_quiet_stream_is_kept_alive_and_refreshed_within_fifteen_seconds(gateway):
    gateway.request("POST", "/endpoints/one/eject")
    gateway.until("stopped", "one")
    with listening(gateway) as ada:
        silence = 0.0
        while silence < 5:  # events that the eject still caused
            begun, comments = time.monotonic(), ada.comments
            assert ada.next() is not None
            silence = time.monotonic() - begun
        assert ada.comments - comments >= 2
        assert silence < 17


def test_a_stream_shows_only_what_its_token_covers_and_ends_when_it_is_revoked(gateway):
    order = {"name": "bea", "scopes": [], "endpoints": ["one"]}
    issued = gateway.request("POST", "/tokens", order).json
    with listening(gateway, issued["token"]) as bea, listening(gateway) as ada:
        assert [one["name"] for one in bea.next()["endpoints"]] == ["one"]
        assert gateway.request("DELETE", f"/tokens/{issued['id']}").status == 204
        begun = time.monotonic()
        while bea.next() is not None:
            pass
        assert time.monotonic() - begun < 2
        assert ada.next() is not None


def test_a_stream_ends_when_its_token_expires(gateway):
    expires_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    order = {"name": "eve", "scopes": [], "expires_at": expires_at}
    issued = gateway.request("POST", "/tokens", order).json
    with listening(gateway, issued["token"]) as eve:
        begun = time.monotonic()
        while eve.next() is not None:
            pass
        assert time.monotonic() - begun < 4
    gateway.request("DELETE", f"/tokens/{issued['id']}")


def test_listening_needs_a_token_and_the_number_of_listeners_is_limited(gateway):
    assert gateway.request("GET", "/events", headers={"Authorization": ""}).status == 401
    people = [issued(gateway, f"fan-{number}") for number in range(10)]
    crowd = [Listening(gateway, token) for token in people for _ in range(10)]
    try:
        refused = gateway.request("GET", "/events")
        assert (refused.status, refused.json["code"]) == (503, "too_many_listeners")
        assert refused.json["most"] == 100
    finally:
        for one in crowd:
            one.close()
    eventually(lambda: open_and_close(gateway), 5)


def test_one_token_leaves_room_for_the_others(gateway):
    token = issued(gateway, "greedy")
    crowd = [Listening(gateway, token) for _ in range(10)]
    try:
        refused = gateway.request("GET", "/events", headers={"Authorization": token})
        assert (refused.status, refused.json["code"]) == (503, "too_many_listeners")
        assert "10 are listening with this token already" in refused.json["detail"]
        assert refused.headers["retry-after"]
        assert open_and_close(gateway)
    finally:
        for one in crowd:
            one.close()


def issued(gateway: GatewayProcess, name: str) -> str:
    return gateway.request("POST", "/tokens", {"name": name, "scopes": []}).json["token"]


def open_and_close(gateway: GatewayProcess) -> bool:
    with listening(gateway) as one:
        return one.response.status == 200


def test_a_new_price_is_sent_at_once(gateway):
    with listening(gateway) as ada:
        assert ada.next()["endpoints"][0]["price_per_hour"] == 6
        file = gateway.state / "parkmeter.toml"
        file.write_text(file.read_text().replace("price_per_hour = 6", "price_per_hour = 7"))
        begun = time.monotonic()
        gateway.process.send_signal(signal.SIGHUP)
        ada.until(lambda one: one["price_per_hour"] == 7)
        assert time.monotonic() - begun < 5


def test_the_end_of_the_gateway_ends_every_stream_at_once_read_or_not(tmp_path: Path):
    # Enough endpoints that a few events exceed all buffers on the way to a client.
    gateway = GatewayProcess(tmp_path / "state", config(1500)).start()
    try:
        with closing(never_reads(gateway)), listening(gateway) as ada:
            for _ in range(12):
                gateway.request("POST", "/endpoints/one/top-ups", {"minutes": 1})
                assert ada.next() is not None
            gateway.request("POST", "/endpoints/one/eject")
            gateway.until("stopped", "one")
            begun = time.monotonic()
            assert gateway.stop() == 0
            assert time.monotonic() - begun < 5
            while ada.next() is not None:
                pass
    finally:
        if gateway.process.poll() is None:
            gateway.stop(30)
    assert "Traceback" not in gateway.output()
    assert "ASGI" not in gateway.output()


def test_prompts_are_in_the_timeline_by_the_minute(gateway):
    def count() -> int:
        return sum(one["count"] for one in gateway.request("GET", path).json["requests"])

    path = "/endpoints/one/timeline"
    gateway.request("POST", "/endpoints/one/eject")
    before = count()
    assert gateway.request("POST", "/one", {}).status == 402
    gateway.request("POST", "/endpoints/one/top-ups", {"minutes": 1})
    gateway.until("running", "one")
    for _ in range(3):
        gateway.request("POST", "/one", {})
    assert count() == before + 3
    gateway.stop()
    gateway.start()
    assert count() == before + 3
