"""Many connections on a real gateway for a long time: memory and descriptors must stay flat.

`python -m tests.chaos.soak --minutes 10`: exit code 1 if a request failed or a figure grew.
"""

import argparse
import asyncio
import http.client
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.faults import raise_own_limit
from tests.chaos.ledger import Ledger
from tests.chaos.load import Client
from tests.chaos.report import machine
from tests.chaos.world import NAMES, TOKEN, World, wait_for

FLAT = 0.05
"""The share by which memory, and descriptors beyond connections, may grow."""
LARGE = 1 << 20
KINDS = IDLE, BUSY, READER, SENDER = "idle", "busy", "slow reader", "slow sender"


@dataclass(frozen=True)
class Crowd:
    """Connections of each kind; `rate`: requests a second of all busy ones together."""

    idle: int = 2000
    busy: int = 256
    slow_readers: int = 32
    slow_senders: int = 32
    rate: float = 100.0

    @property
    def connections(self) -> int:
        return self.idle + self.busy + self.slow_readers + self.slow_senders


@dataclass
class Figures:
    """Samples of the gateway's process, one a second, and what the clients were answered."""

    memory: list[float] = field(default_factory=list)
    descriptors: list[float] = field(default_factory=list)
    connections: list[float] = field(default_factory=list)
    """Those of clients that were accepted; on a busy machine others wait, without a descriptor."""
    answers: Counter[str] = field(default_factory=Counter)

    def change(self, name: str) -> tuple[float, float, float]:
        """Return the medians after the warm-up (a fifth) and of the end, and the change."""
        samples = getattr(self, name)[len(getattr(self, name)) // 5 :]
        part = max(1, len(samples) // 5)
        first, last = statistics.median(samples[:part]), statistics.median(samples[-part:])
        return first, last, last / first - 1

    @property
    def failures(self) -> list[str]:
        """Return what is not as it should be, in words."""
        found = [
            f"{n} times {what}" for what, n in self.answers.items() if not what.endswith(" 200")
        ]
        found += [f"no {kind} request" for kind in KINDS if not self.answers[f"{kind} 200"]]
        # What shrinks is no leak.
        first, last, change = self.change("memory")
        if change > FLAT:
            found.append(f"memory: {first:.1f} to {last:.1f}")
        before, after, _ = self.change("connections")
        first, last, _ = self.change("descriptors")
        if (last - after) - (first - before) > FLAT * first:
            found.append(f"descriptors beyond connections: {first - before} to {last - after}")
        return found

    def table(self) -> str:
        """Return the figures as a table in Markdown."""
        lines = ["| figure | after warm-up | at the end | change |", "|---|---|---|---|"]
        for name, unit in (("memory", " MiB"), ("descriptors", ""), ("connections", "")):
            first, last, change = self.change(name)
            lines.append(f"| {name} | {first:.1f}{unit} | {last:.1f}{unit} | {change:+.1%} |")
        answers = ", ".join(f"{count:,} {what}" for what, count in self.answers.most_common())
        return "\n".join([*lines, "", f"answers: {answers}"])


class Clients:
    """All connections of a crowd, on one loop; each repeats its kind of request until the end."""

    def __init__(self, port: int, crowd: Crowd, figures: Figures) -> None:
        self._port = port
        self._crowd = crowd
        self._figures = figures

    async def run(self, world: World, seconds: float) -> None:
        works = (
            (self._crowd.idle, self._idle),
            (self._crowd.busy, self._busy),
            (self._crowd.slow_readers, self._slow_reader),
            (self._crowd.slow_senders, self._slow_sender),
        )
        tasks = [
            asyncio.create_task(self._repeat(work, spread=min(20.0, seconds / 8)))
            for count, work in works
            for _ in range(count)
        ]
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            await asyncio.sleep(1)
            proc = Path(f"/proc/{world.process.pid}")
            status = (proc / "status").read_text()
            resident = status.partition("VmRSS:")[2].split(maxsplit=1)[0]
            self._figures.memory.append(int(resident) / 1024)
            self._figures.connections.append(_accepted(self._port))
            self._figures.descriptors.append(len(list((proc / "fd").iterdir())))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _repeat(self, work, spread: float) -> None:
        await asyncio.sleep(random.uniform(0, spread))
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                await work(reader, writer)
            except (OSError, asyncio.IncompleteReadError) as error:
                self._figures.answers[type(error).__name__] += 1
            finally:
                writer.close()

    async def _idle(self, reader, writer) -> None:
        """Send one prompt, then nothing for as long as a gateway keeps a connection."""
        await self._ask(IDLE, reader, writer, {"say": "idle"})
        await asyncio.sleep(random.uniform(30, 60))

    async def _busy(self, reader, writer) -> None:
        for _ in range(100):
            await self._ask(BUSY, reader, writer, {"say": "busy"})
            await asyncio.sleep(random.expovariate(self._crowd.rate / self._crowd.busy))

    async def _slow_reader(self, reader, writer) -> None:
        await self._ask(READER, reader, writer, {"say": "slow", "more": LARGE}, pause=0.02)

    async def _slow_sender(self, reader, writer) -> None:
        await self._ask(SENDER, reader, writer, {"say": "x" * 60}, piece=4, pause=0.5)

    async def _ask(
        self,
        kind: str,
        reader,
        writer,
        asked: dict,
        *,
        piece: int | None = None,
        pause: float = 0.0,
    ) -> None:
        body = json.dumps(asked).encode()
        head = f"POST /{random.choice(NAMES)} HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        for start in range(0, len(body), piece or len(body)):
            writer.write(body[start : start + (piece or len(body))])
            await writer.drain()
            await asyncio.sleep(pause if piece else 0)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        left = int(answer.partition("content-length: ")[2].split()[0])
        while left:
            left -= len(got := await reader.read(min(left, 16384)))
            if not got:
                raise asyncio.IncompleteReadError(got, left)
            await asyncio.sleep(0 if piece else pause)
        self._figures.answers[f"{kind} {answer.split()[1]}"] += 1


def _accepted(port: int) -> int:
    """Return the number of sockets on a local port that belong to a process; listening ones too."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[9] != "0" for row in rows)


def soak(folder: Path, seconds: float, crowd: Crowd) -> Figures:
    """Keep a crowd on a gateway in an empty folder for so long; return what was seen."""
    raise_own_limit()
    figures = Figures()
    with World(folder, Ledger(), descriptors=None, patience=120) as world:
        with closing(Client(world.port)) as client:
            wait_for(lambda: ready(client), 60)
        asyncio.run(Clients(world.port, crowd, figures).run(world, seconds))
    return figures


def ready(client: Client) -> bool:
    """Top up every endpoint until each answers."""
    try:
        for name in NAMES:
            if client.ask("POST", f"/{name}", {"say": "ready"}).status == 402:
                client.ask("POST", f"/endpoints/{name}/top-ups", {"minutes": 60})
        return all(client.ask("POST", f"/{name}", {"say": "x"}).status == 200 for name in NAMES)
    except (OSError, http.client.HTTPException):
        return False


def main() -> None:
    """Soak as the command line says, and print the table."""
    flags = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    flags.add_argument("--minutes", type=float, default=10)
    given = flags.parse_args()
    command = f"python -m tests.chaos.soak --minutes {given.minutes:g}"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}: {command}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="parkmeter-soak-"))
    figures = soak(folder, given.minutes * 60, Crowd())
    print(figures.table())
    print("\n".join(figures.failures) or "flat")
    sys.exit(bool(figures.failures))


if __name__ == "__main__":
    main()
