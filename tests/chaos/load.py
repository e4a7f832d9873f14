"""Clients of the gateway under attack: top-ups, ejects, prompts and streams, each a thread."""

import http.client
import json
import random
import threading
import time
from dataclasses import dataclass
from typing import Any, Self

from tests.chaos.ledger import FALSE_ANSWER, Ledger
from tests.chaos.world import NAMES, TOKEN, World

PATIENCE = 20.0
"""Seconds a client waits for an answer."""

SMALL = (0.02, 0.04, 0.1)
"""Minutes: meters close and open again all the time."""

BUSY, *SPARSE = NAMES
"""One endpoint is topped up and ejected all the time; the others get less time than passes, and
give none up: their meters run out."""


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes

    @property
    def code(self) -> str:
        """Return the code of a problem; empty for anything else."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return ""
        return document.get("code", "") if isinstance(document, dict) else ""


class Client:
    """One kept connection; opened again when it has broken."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Return the whole answer.

        Raises:
            OSError, http.client.HTTPException: none came, or not all of it.

        """
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        sent = None if body is None else json.dumps(body)
        try:
            self._connection.request(method, path, sent, {"Authorization": TOKEN, **headers})
            response = self._connection.getresponse()
            return Reply(response.status, response.read())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


NOTHING_CAME = (OSError, http.client.HTTPException)


class Load:
    """All clients of one run; everything they are answered goes into the ledger."""

    def __init__(self, world: World, ledger: Ledger, seed: int) -> None:
        self._world = world
        self._ledger = ledger
        self._over = threading.Event()
        self.paused = threading.Event()
        """Set while no time may be given up."""
        works = (
            self._top_up,
            self._top_up_sparsely,
            self._eject,
            *[self._prompt] * 3,
            *[self._stream] * 2,
        )
        self._threads = [
            threading.Thread(target=self._repeat, args=(work, random.Random(f"{seed}/{number}")))
            for number, work in enumerate((*works, self._look))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, work: Any, chance: random.Random) -> None:
        client = Client(self._world.port)
        while not self._over.is_set():
            work(client, chance)
            self._over.wait(chance.uniform(0.02, 0.12))
        client.close()

    # ── Time ─────────────────────────────────────────────────────────────────────────────────────

    def _top_up(self, client: Client, chance: random.Random) -> None:
        """Top up; repeat it under its key until it is acknowledged or refused."""
        key = f"{chance.getrandbits(64):x}"
        self._until_acknowledged(client, BUSY, chance.choice(SMALL), key)
        self._over.wait(chance.uniform(0.05, 0.4))

    def _top_up_sparsely(self, client: Client, chance: random.Random) -> None:
        key = f"{chance.getrandbits(64):x}"
        self._until_acknowledged(client, chance.choice(SPARSE), chance.choice(SMALL), key)
        self._over.wait(chance.uniform(1, 4))

    def _until_acknowledged(self, client: Client, name: str, minutes: float, key: str) -> None:
        path, headers = f"/endpoints/{name}/top-ups", {"Idempotency-Key": key}
        while not self._over.is_set():
            try:
                reply = client.ask("POST", path, {"minutes": minutes}, **headers)
            except NOTHING_CAME:
                self._ledger.unanswered("top-up")
                self._over.wait(0.1)
                continue
            self._ledger.answered("top-up", reply.status, reply.code, reply.body)
            if reply.status == 201:
                self._ledger.acknowledged(name, key, minutes)
                return
            if reply.status < 500 and reply.status != 429:
                return
            self._over.wait(0.2)

    def _eject(self, client: Client, chance: random.Random) -> None:
        if not self.paused.is_set():
            self._ask(client, "eject", "POST", f"/endpoints/{BUSY}/eject")
        self._over.wait(chance.uniform(1, 5))

    def _look(self, client: Client, chance: random.Random) -> None:
        paths = "/health", "/endpoints", "/metrics", f"/endpoints/{BUSY}/receipt"
        self._ask(client, "look", "GET", chance.choice(paths))

    def _ask(self, client: Client, request: str, method: str, path: str) -> None:
        try:
            reply = client.ask(method, path)
        except NOTHING_CAME:
            self._ledger.unanswered(request)
        else:
            self._ledger.answered(request, reply.status, reply.code, reply.body)

    # ── Prompts ──────────────────────────────────────────────────────────────────────────────────

    def _prompt(self, client: Client, chance: random.Random) -> None:
        self.prompt(client, chance.choice(NAMES), "x" * chance.randrange(1, 5000))

    def prompt(self, client: Client, name: str, text: str) -> int:
        """Send a prompt; return the status, or 0 if no answer came."""
        try:
            reply = client.ask("POST", f"/{name}", {"say": text})
        except NOTHING_CAME:
            self._ledger.unanswered("prompt")
            return 0
        self._ledger.answered("prompt", reply.status, reply.code, reply.body)
        if reply.status == 200 and reply.body != json.dumps({"said": text}).encode():
            self._ledger.breaks(FALSE_ANSWER, f"{name} said {reply.body[:80]!r}")
        return reply.status

    def _stream(self, client: Client, chance: random.Random) -> None:
        name, pieces = chance.choice(NAMES), chance.randrange(2, 30)
        try:
            reply = client.ask("POST", f"/{name}", {"pieces": pieces, "pause": 0.03})
        except NOTHING_CAME:
            self._ledger.unanswered("stream")
            return
        self._ledger.answered("stream", reply.status, reply.code, reply.body)
        whole = "".join(f"{number}\n" for number in range(pieces)) + "end\n"
        if reply.status == 200 and reply.body != whole.encode():
            self._ledger.breaks(FALSE_ANSWER, f"{name} streamed {reply.body[-80:]!r}")

    # ── Recovery ─────────────────────────────────────────────────────────────────────────────────

    def until_recovered(self, seconds: float, tag: str) -> str:
        """Wait until every endpoint, topped up, answers; return what is missing, or nothing."""
        client, give_up = Client(self._world.port), time.monotonic() + seconds
        missing, tries = dict.fromkeys(NAMES, 0), 0
        self.paused.set()
        while missing and time.monotonic() < give_up:
            self._world.keep_up()
            for name in list(missing):
                missing[name] = self.prompt(client, name, tag)
                if missing[name] == 200:
                    del missing[name]
                elif missing[name] == 402:
                    tries += 1
                    self._probe(client, name, f"{tag}-{tries}")
            time.sleep(0.03)
        self.paused.clear()
        client.close()
        return ", ".join(f"{name}: {status or 'no answer'}" for name, status in missing.items())

    def _probe(self, client: Client, name: str, key: str) -> None:
        """Top up once; the prompt that follows shows the result."""
        minutes, path = 0.1, f"/endpoints/{name}/top-ups"
        try:
            reply = client.ask("POST", path, {"minutes": minutes}, **{"Idempotency-Key": key})
        except NOTHING_CAME:
            self._ledger.unanswered("top-up")
            return
        self._ledger.answered("top-up", reply.status, reply.code, reply.body)
        if reply.status == 201:
            self._ledger.acknowledged(name, key, minutes)
