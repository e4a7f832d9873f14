"""The order in which a gateway ends, seen from inside."""

import http.client
import signal
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from parkmeter.config.settings import Settings
from parkmeter.gateway.server import Gateway, Started
from parkmeter.service.meters import MeterService
from parkmeter.stores.sqlite import SqliteStore
from tests.support.gateway_process import PING_SERVER, TOKEN


@pytest.fixture(autouse=True)
def _signals():
    """Restore signals: a gateway leaves them ignored, because its process ends."""
    before = {number: signal.getsignal(number) for number in (2, 15, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def settings(state: Path) -> Settings:
    endpoint = {
        "command": [sys.executable, "-I", "-S", str(PING_SERVER), "{port}"],
        "initial_provision_time_minutes": 0,
        "wake_minutes": 10,
    }
    return Settings.model_validate(
        {
            "gateway": {"state": str(state), "port": 0},
            "endpoints": {"flan-t5": endpoint},
            "bootstrap_token": TOKEN,
        }
    )


def test_a_top_up_by_a_prompt_is_on_the_meter_before_endpoints_are_parked(tmp_path, monkeypatch):
    order: list[str] = []
    buying, parking = threading.Event(), threading.Event()
    commit, park = SqliteStore.commit, MeterService.park

    def slowly(store, meter, entries, *more):
        woken = any(entry.key.startswith("wake:") for entry in entries)
        if woken:
            buying.set()
            parking.wait(
                0.5
            )  # as long as a slow disk takes; an end that does not wait is over by then
        done = commit(store, meter, entries, *more)
        if woken:
            order.append("bought")
        return done

    def seen(service):
        order.append("parked")
        parking.set()
        return park(service)

    monkeypatch.setattr(SqliteStore, "commit", slowly)
    monkeypatch.setattr(MeterService, "park", seen)
    gateway = Gateway(settings(tmp_path))
    prompts: list[threading.Thread] = []

    def prompt(url: str) -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        connection.request("POST", "/flan-t5", "{}", {"Authorization": TOKEN, "Prefer": "wait=20"})
        assert connection.getresponse().status in {402, 503}
        connection.close()

    def started(begun: Started) -> None:
        prompts.append(threading.Thread(target=prompt, args=(begun.url,)))
        prompts[0].start()
        assert buying.wait(20)
        gateway.stop()

    ended = gateway.run(started)
    assert ended.stopping == []
    assert list(ended.closes) == ["flan-t5"]
    prompts[0].join(20)
    assert order[:2] == ["bought", "parked"]
