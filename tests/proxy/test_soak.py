"""A real gateway under steady prompts of every kind: its memory is flat, its counts are exact.

`SOAK_MINUTES=60` lets it go on for an hour.
"""

import asyncio
import json
import os
import re
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.support.gateway_process import TOKEN, GatewayProcess

SECONDS = float(os.environ.get("SOAK_MINUTES", "0.3")) * 60
CLIENTS = 12
GROWTH = 1.03
SERVER = Path(__file__).parents[1] / "support" / "servers" / "steady.py"
ROUNDS = 50
"""Prompts of one connection."""


class Load:
    """Clients that send prompts for a time; what they were answered, and what it used."""

    def __init__(self, gateway: GatewayProcess, seconds: float) -> None:
        self._gateway = gateway
        self._until = time.monotonic() + seconds
        self.statuses: Counter[str] = Counter()
        self.words = self.answers = 0
        self.memory: list[int] = []

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(self._client(Random(number)))
            group.create_task(self._watch())

    async def _watch(self) -> None:
        while time.monotonic() < self._until:
            await asyncio.sleep(0.25)
            self.memory.append(resident(self._gateway.process.pid))

    async def _client(self, rng: Random) -> None:
        while time.monotonic() < self._until:
            reader, writer = await asyncio.open_connection(*self._gateway.address)
            try:
                for _ in range(ROUNDS):
                    if not await self._prompt(rng, reader, writer):
                        break
                    await asyncio.sleep(0.001)
            finally:
                writer.close()

    async def _prompt(self, rng: Random, reader, writer) -> bool:
        """Send one prompt and count its answer; return True if its connection is kept."""
        words = rng.randrange(9)
        asked = {"words": words, "stream": rng.random() < 0.1, "size": rng.choice((1, 1, 9, 9000))}
        path = "/flan"
        if rng.random() < 0.2:
            asked["model"], path = "flan-t5", "/v1/chat/completions"
        token = "wrong" if rng.random() < 0.002 else TOKEN
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: {token}"]
        if rng.random() < 0.3:
            lines.append(f"traceparent: 00-{rng.getrandbits(128):032x}-01")
        if rng.random() < 0.02:
            lines.append(f"X-{rng.getrandbits(40):x}: {rng.getrandbits(40)}")
        body = json.dumps(asked).encode()
        framing, framed = f"Content-Length: {len(body)}", body
        if rng.random() < 0.1:
            framing = "Transfer-Encoding: chunked"
            framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        data = "\r\n".join([*lines, framing, "", ""]).encode() + framed
        cut = rng.randrange(len(data)) if rng.random() < 0.1 else 0
        for piece in filter(None, (data[:cut], data[cut:])):
            writer.write(piece)
            await asyncio.sleep(0)
        status, answer, kept = await _answer(reader)
        if token == TOKEN:
            self.statuses[status[:1]] += 1
            assert status == "200", answer
            self.answers += 1
            self.words += words
            assert b'"completion_tokens":%d' % words in answer
        else:
            assert status == "403", answer
            self.statuses[status[:1]] += path == "/flan"  # else it names no endpoint
        return kept


async def _answer(reader: asyncio.StreamReader) -> tuple[str, bytes, bool]:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).decode().lower()
    body = b""
    if "transfer-encoding: chunked" in head:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    else:
        length = head.partition("content-length: ")[2].split()[0]
        body = await reader.readexactly(int(length))
    return head.split()[1], body, "connection: close" not in head


def resident(pid: int) -> int:
    """Return the memory of a process, in KB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def figures(text: str, name: str, label: str) -> dict[str, int]:
    """Return the values of a metric by one of its labels."""
    found = re.findall(rf'^{name}{{[^}}]*{label}="([^"]*)"[^}}]*}} (\S+)$', text, re.MULTILINE)
    return {key: int(float(value)) for key, value in found}


@pytest.mark.extended
@pytest.mark.timeout(SECONDS + 120)
def test_memory_is_flat_and_counts_are_what_clients_saw(tmp_path):
    command = json.dumps([sys.executable, "-I", "-S", str(SERVER), "{port}"])
    config = f'[endpoints.flan-t5]\napi_resource = "flan"\ncommand = {command}\n'
    with GatewayProcess(tmp_path / "state", config).start() as gateway:
        gateway.top_up(SECONDS / 60 + 10)
        gateway.until("running")
        before = figures(gateway.request("GET", "/metrics").body.decode(), *REQUESTS)
        load = Load(gateway, SECONDS)
        asyncio.run(load.run())
        text = gateway.request("GET", "/metrics").body.decode()
    after = figures(text, *REQUESTS)
    counted = {code[:1]: after[code] - before.get(code, 0) for code in ("2xx", "4xx")}
    assert counted == {code: load.statuses[code] for code in ("2", "4")}
    tokens = figures(text, "parkmeter_model_tokens_total", "kind")
    assert tokens == {"input": 3 * load.answers, "output": load.words}
    fifth = len(load.memory) // 5
    first, last = (statistics.median(part) for part in _ends(load.memory[fifth:], fifth))
    assert last < first * GROWTH, (
        f"{first} to {last} KB after {sum(load.statuses.values())} prompts"
    )


REQUESTS = "parkmeter_requests_total", "code"


def _ends(samples: list[int], length: int) -> tuple[list[int], list[int]]:
    return samples[:length], samples[-length:]
