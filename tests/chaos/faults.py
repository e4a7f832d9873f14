"""The faults, each a context: it holds inside, and is over after it."""

import contextlib
import os
import random
import resource
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from datetime import timedelta

from tests.chaos.ledger import DIED
from tests.chaos.load import NOTHING_CAME, Client
from tests.chaos.world import NAMES, World, wait_for

Fault = Callable[[World, random.Random, float], AbstractContextManager[None]]
"""Of a world, chance, and the seconds that the fault may last."""

HANGS_FOR = 90.0
"""Seconds that a leash is stopped at most; the watcher judges when it should have been ended."""

ENDS_WITHIN = 60.0
"""Seconds for a gateway without its state folder to end in order."""

BODIES = b"POST /ant HTTP/1.1\r\nHost: x\r\nAuthorization: wrong\r\nContent-Length: 100000\r\n\r\n"


def _signal(pid: int | None, number: int) -> None:
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _servers(world: World, name: str) -> list[int]:
    """Return the server of an endpoint and its worker."""
    return [one.pid for one in world.running() if one.endpoint == name]


# ── The gateway ─────────────────────────────────────────────────────────────────────────────────


@contextmanager
def gateway_killed(world: World, chance: random.Random, seconds: float) -> Iterator[None]:
    world.kill()
    time.sleep(chance.uniform(0, seconds))
    world.start()
    yield


@contextmanager
def gateway_ended_in_order(world: World, _chance: random.Random, _seconds: float) -> Iterator[None]:
    world.end()
    world.start()
    yield


@contextmanager
def gateway_frozen(world: World, _chance: random.Random, seconds: float) -> Iterator[None]:
    world.paused.set()
    _signal(world.process.pid, signal.SIGSTOP)
    try:
        yield
        time.sleep(seconds)
    finally:
        _signal(world.process.pid, signal.SIGCONT)
        world.paused.clear()


@contextmanager
def port_taken(world: World, _chance: random.Random, seconds: float) -> Iterator[None]:
    """Take the port of a killed gateway; what starts meanwhile must end in plain words."""
    world.kill()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", world.port))
        taken.listen(0)
        world.start()
        world.may_end()
        if not wait_for(lambda: world.process.poll() is not None, 60):
            world.kill()
        time.sleep(seconds)
    world.start()
    yield


@contextmanager
def descriptors_used_up(world: World, _chance: random.Random, seconds: float) -> Iterator[None]:
    """Open more connections than there are descriptors; all drip a body that was refused."""
    held: list[socket.socket] = []
    try:
        for _ in range((world.descriptors or 0) + 100):
            with contextlib.suppress(OSError):
                one = socket.create_connection(("127.0.0.1", world.port), timeout=0.2)
                held.append(one)
                one.setblocking(False)
                one.send(BODIES)
        yield
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            for one in held:
                with contextlib.suppress(OSError):
                    one.send(b"x")
            time.sleep(0.25)
    finally:
        for one in held:
            one.close()


# ── Leashes and servers ─────────────────────────────────────────────────────────────────────────


@contextmanager
def leash_killed(world: World, chance: random.Random, _seconds: float) -> Iterator[None]:
    _signal(world.leash_of(chance.choice(NAMES)), signal.SIGKILL)
    yield


@contextmanager
def leash_stopped(world: World, chance: random.Random, seconds: float) -> Iterator[None]:
    leash = world.leash_of(chance.choice(NAMES))
    _signal(leash, signal.SIGSTOP)
    try:
        yield
        time.sleep(seconds)
    finally:
        _signal(leash, signal.SIGCONT)


@contextmanager
def leash_hung(world: World, chance: random.Random, _seconds: float) -> Iterator[None]:
    """Stop a leash for good: past the end of its meter the gateway must end it with its server."""
    name = chance.choice(NAMES)
    leash = world.leash_of(name)
    _signal(leash, signal.SIGSTOP)
    try:
        yield
        with closing(Client(world.port)) as client:

            def ended() -> bool:
                """Close the meter, which may be topped up; return whether its leash is gone."""
                with contextlib.suppress(*NOTHING_CAME):
                    client.ask("POST", f"/endpoints/{name}/eject")
                return world.leash_of(name) != leash

            wait_for(ended, HANGS_FOR, every=1.0)
    finally:
        _signal(leash, signal.SIGCONT)


@contextmanager
def gateway_and_leash_killed(world: World, chance: random.Random, seconds: float) -> Iterator[None]:
    leash = world.leash_of(chance.choice(NAMES))
    world.kill()
    _signal(leash, signal.SIGKILL)
    time.sleep(chance.uniform(0, seconds))
    world.start()
    yield


@contextmanager
def server_killed(world: World, chance: random.Random, _seconds: float) -> Iterator[None]:
    for pid in _servers(world, chance.choice(NAMES))[: chance.randrange(1, 3)]:
        _signal(pid, signal.SIGKILL)
    yield


@contextmanager
def server_stopped(world: World, chance: random.Random, seconds: float) -> Iterator[None]:
    stopped = _servers(world, chance.choice(NAMES))
    for pid in stopped:
        _signal(pid, signal.SIGSTOP)
    try:
        yield
        time.sleep(seconds)
    finally:
        for pid in stopped:
            _signal(pid, signal.SIGCONT)


def _in_mood(mood: str) -> Fault:
    @contextmanager
    def fault(world: World, chance: random.Random, seconds: float) -> Iterator[None]:
        name = chance.choice(NAMES)
        world.set_mood(name, mood)
        try:
            yield
            time.sleep(seconds)
        finally:
            world.set_mood(name, "ok")

    return fault


# ── Disk, store, clock ──────────────────────────────────────────────────────────────────────────


@contextmanager
def disk_full(world: World, _chance: random.Random, seconds: float) -> Iterator[None]:
    """Fill the small disk to the last byte, again and again: what is freed meanwhile is filled."""
    if not world.small_disk:
        yield
        return
    ballast = world.disk / "ballast"
    try:
        with ballast.open("ab", buffering=0) as file:
            _fill(file)
            yield
            give_up = time.monotonic() + seconds
            while time.monotonic() < give_up:
                _fill(file)
                time.sleep(0.1)
    finally:
        ballast.unlink()


def _fill(file) -> None:
    for size in (1 << 20, 4096, 1):
        with contextlib.suppress(OSError):
            while file.write(b"\0" * size):
                pass


@contextmanager
def state_moved_away(world: World, chance: random.Random, seconds: float) -> Iterator[None]:
    """Take the state folder from under a gateway, which must end; put it back for the next one.

    It is moved, not removed: so nothing that was acknowledged meanwhile may be missing in it.
    """
    away = world.disk / "away"
    with closing(Client(world.port)) as client:
        wait_for(lambda: not world.up or _answers(client), ENDS_WITHIN)  # it knows its folder then
    world.may_end()
    world.state.rename(away)
    try:
        wait_for(lambda: not world.up, ENDS_WITHIN)
        if world.up:
            world.ledger.breaks(DIED, f"it served {ENDS_WITHIN:g} s without its state folder")
        world.kill()
        time.sleep(chance.uniform(0, seconds))
    finally:
        away.rename(world.state)
    world.start()
    yield


def _answers(client: Client) -> bool:
    with contextlib.suppress(*NOTHING_CAME):
        return client.ask("GET", "/health").status != 0
    return False


@contextmanager
def store_locked(world: World, _chance: random.Random, seconds: float) -> Iterator[None]:
    with world.store(timeout=5) as store:
        with contextlib.suppress(sqlite3.OperationalError):
            store.execute("BEGIN IMMEDIATE")
        yield
        time.sleep(seconds)
        if store.in_transaction:
            store.execute("ROLLBACK")


@contextmanager
def clock_set(world: World, chance: random.Random, _seconds: float) -> Iterator[None]:
    """Set the clock minutes to hours forward or back; it stays there."""
    if not world.can_set_clock:
        yield
        return
    step = chance.choice((-7200, -600, -60, -10, 10, 60, 600, 7200))
    world.set_clock(world.offset + timedelta(seconds=step))
    yield


FAULTS: dict[str, Fault] = {
    "gateway killed -9": gateway_killed,
    "gateway ended and started": gateway_ended_in_order,
    "gateway frozen": gateway_frozen,
    "port taken at the restart": port_taken,
    "descriptors used up": descriptors_used_up,
    "leash killed -9": leash_killed,
    "leash stopped": leash_stopped,
    "leash hung until its end": leash_hung,
    "gateway and leash killed -9": gateway_and_leash_killed,
    "server killed": server_killed,
    "server stopped": server_stopped,
    "model hangs": _in_mood("hang"),
    "model answers garbage": _in_mood("garbage"),
    "model breaks off": _in_mood("cut"),
    "disk full": disk_full,
    "store locked": store_locked,
    "state folder moved away": state_moved_away,
    "clock set": clock_set,
}


@contextmanager
def together(
    faults: list[str], world: World, chance: random.Random, seconds: float
) -> Iterator[None]:
    """Hold several faults at once; all are over afterwards."""
    with ExitStack() as stack:
        for fault in faults:
            stack.enter_context(FAULTS[fault](world, chance, seconds))
        yield


def raise_own_limit() -> None:
    """Allow this process as many descriptors as the system permits: it holds many connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
