"""The logs of a real endpoint over HTTP: the last lines, and following."""

import contextlib
import http.client
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.gateway_process import TOKEN, GatewayProcess, eventually, ping_config

SLEEPER = Path(__file__).parents[1] / "support" / "servers" / "sleeper.py"
COMMAND = json.dumps([sys.executable, "-I", str(SLEEPER), "{port}"])
CONFIG = f'[endpoints.flan-t5]\napi_resource = "flan"\ncommand = {COMMAND}\n'
LOGS = "/endpoints/flan-t5/logs"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path / "state", CONFIG).start() as made:
        made.until("running")
        yield made


def say(gateway: GatewayProcess, what: str, times: int = 1) -> None:
    answer = gateway.request("POST", "/flan", {"say": what, "times": times})
    assert answer.status == 200


@contextmanager
def following(gateway: GatewayProcess, lines: int = 1) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(*gateway.address, timeout=20)
    try:
        path = f"{LOGS}?follow=true&lines={lines}"
        connection.request("GET", path, headers={"Authorization": TOKEN})
        yield connection.getresponse()
    finally:
        connection.close()


def open_logs(gateway: GatewayProcess) -> int:
    """Return the number of log files the gateway holds open."""
    held = 0
    for handle in Path(f"/proc/{gateway.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            held += "/logs/flan-t5.log" in str(handle.readlink())
    return held


def test_the_last_lines_are_what_the_server_printed_last(gateway):
    say(gateway, "hello", 300)

    def printed():
        answer = gateway.request("GET", f"{LOGS}?lines=3")
        return answer if answer.body.endswith(b"hello 299\n") else None

    answer = eventually(printed)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.body == b"hello 297\nhello 298\nhello 299\n"
    assert len(gateway.request("GET", LOGS).body.splitlines()) == 200
    for lines in ("0", "10001", "many", "-1"):
        refused = gateway.request("GET", f"{LOGS}?lines={lines}")
        assert (refused.status, refused.json["field"]) == (400, "lines")
    assert gateway.request("GET", "/endpoints/no/logs").json["code"] == "unknown_endpoint"
    assert gateway.request("GET", "/endpoints/..%2f..%2fx/logs").status == 404


def test_following_shows_every_line_across_a_log_that_is_full(gateway):
    with following(gateway) as log:
        log.readline()
        say(gateway, "x" * 90, times=70_000)  # 6.7 MB: more than one log
        for number in range(70_000):
            assert log.readline().rpartition(b" ")[2] == b"%d\n" % number
    eventually(lambda: open_logs(gateway) == 0)


def test_who_hangs_up_while_nothing_is_printed_is_not_followed_any_more(gateway):
    with following(gateway) as log:
        log.readline()
        assert open_logs(gateway) == 1
    eventually(lambda: open_logs(gateway) == 0, seconds=5)


def test_following_ends_with_the_token(gateway):
    issued = gateway.request("POST", "/tokens", {"name": "ada", "scopes": ["admin"]}).json
    connection = http.client.HTTPConnection(*gateway.address, timeout=20)
    headers = {"Authorization": issued["token"]}
    connection.request("GET", f"{LOGS}?follow=true&lines=1", headers=headers)
    log = connection.getresponse()
    log.readline()
    gateway.request("DELETE", f"/tokens/{issued['id']}")
    assert log.read() == b""
    connection.close()


def test_following_does_not_keep_the_gateway_from_ending(gateway):
    with following(gateway) as log:
        log.readline()
        began = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - began < 5
        log.read()


def test_an_endpoint_that_never_ran_has_an_empty_log(tmp_path):
    config = ping_config(initial_provision_time_minutes=0)
    with GatewayProcess(tmp_path / "state", config).start() as gateway:
        answer = gateway.request("GET", LOGS)
        assert (answer.status, answer.body) == (200, b"")
