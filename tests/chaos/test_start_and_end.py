"""Start and orderly end of a real gateway under load: what was accepted is answered."""

import http.client
import itertools
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.ledger import Ledger
from tests.chaos.load import Client, Reply
from tests.chaos.soak import ready
from tests.chaos.world import NAMES, World, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


EXPECTED = {(200, ""), (201, ""), (503, "not_serving"), (429, "too_many_changes")}
"""Answers as status and code; top-ups on end may come to the limit of one token's changes."""


class Callers:
    """Threads that send prompts and top-ups on kept connections, and put down what came of each."""

    def __init__(self, port: int) -> None:
        self.replies: dict[str, Reply] = {}
        self.refused = 0
        self.cut: list[str] = []
        """Sent on an open connection, and not answered."""
        self._port = port
        self._over = threading.Event()
        works = [self._prompt] * 12 + [self._top_up] * 4
        self._threads = [
            threading.Thread(target=self._repeat, args=(work, f"{number}"))
            for number, work in enumerate(works)
        ]

    @contextmanager
    def calling(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()

    def _repeat(self, work, who: str) -> None:
        client = Client(self._port)
        for number in itertools.count():
            if self._over.is_set():
                break
            key = f"{who}-{number}"
            try:
                self.replies[key] = work(client, key)
            except ConnectionRefusedError:
                self.refused += 1
                time.sleep(0.01)
            except (OSError, http.client.HTTPException):
                self.cut.append(key)
        client.close()

    def _prompt(self, client: Client, key: str) -> Reply:
        return client.ask("POST", f"/{NAMES[0]}", {"say": key, "takes": 0.15})

    def _top_up(self, client: Client, key: str) -> Reply:
        path = f"/endpoints/{NAMES[0]}/top-ups"
        return client.ask("POST", path, {"minutes": 0.1}, **{"Idempotency-Key": key})


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    return tmp_path / "seen"


@pytest.fixture
def world(tmp_path: Path, seen: Path) -> Iterator[World]:
    with World(tmp_path, Ledger(), descriptors=None, flags=("--seen-file", str(seen))) as made:
        client = Client(made.port)
        assert wait_for(lambda: ready(client), 60)
        client.close()
        yield made


@pytest.mark.timeout(240)  # two starts, on a machine that may be busy
def test_an_end_and_a_start_under_load_lose_no_accepted_request(world, seen):
    ending = Callers(world.port)
    with ending.calling():
        assert wait_for(lambda: len(ending.replies) > 100, 60)
        world.process.terminate()
        assert world.process.wait(60) == 0
    answered = {key for key, reply in ending.replies.items() if reply.status in (200, 201)}
    statuses = {(reply.status, reply.code) for reply in ending.replies.values()}
    assert statuses <= EXPECTED
    assert set(seen.read_text().split()) - {"ready", "x"} <= answered
    journaled = {entry.key.partition(":")[2] for entry in world.journal(NAMES[0])}
    unanswered = journaled & set(ending.cut)
    assert not unanswered, "accepted, and written, but not answered"
    assert {key for key in answered if int(key.split("-")[0]) >= 12} <= journaled

    starting = Callers(world.port)
    with starting.calling():
        world.start()
        assert wait_for(lambda: starting.replies, 60)
        time.sleep(1)
    assert not starting.cut
    statuses = {(reply.status, reply.code) for reply in starting.replies.values()}
    assert statuses <= EXPECTED
