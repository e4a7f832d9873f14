"""The gate of one process: which meters are open, where their endpoints are, what is in flight.

Control code shows it views from any thread; the data plane asks it on its event loop and never
waits for the core. It may not know HTTP, tokens or prices; a request's token is to it a holder.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import datetime
from enum import Enum, auto
from typing import Self

from parkmeter.core.meter import Status
from parkmeter.core.status import View
from parkmeter.proxy.fair_shares import PATIENCE_SECONDS, FairShares
from parkmeter.proxy.waiting_line import Waiter, WaitingLine


class Standing(Enum):
    """State of a meter, as far as a prompt is concerned."""

    SERVING = auto()
    WAITING = auto()
    """Open but not serving yet, or not known yet because the gateway has just started."""
    CLOSED = auto()


_SERVING = Standing.SERVING
_RUNNING = Status.RUNNING
"""Bound once: Python 3.11 takes 130 ns to find a member in its enum."""


def standing(view: View | None, now: datetime) -> Standing:
    """Return the state of the meter at `now`. At `open_until` itself it is closed."""
    if view is None:
        return Standing.WAITING
    if now >= view.open_until:
        return Standing.CLOSED
    if view.status is _RUNNING and view.address is not None:
        return _SERVING
    return Standing.WAITING


def _serves(view: View | None) -> bool:
    return view is not None and view.status is _RUNNING and view.address is not None


class LocalGate:
    """Implements `ports.Gate` where all prompts pass through this process and one event loop.

    `show`, `view`, `names`, `runs`, `in_flight` and `last_prompt` may be called from any thread;
    everything else only on the loop.
    `now` reads the clock (aware, UTC). `on_idle(name)` is called on the loop when the last request
    in flight of an endpoint ends whose meter is closed: it must not block, nor may
    `on_change(name)`, which is called from any thread after a view that differs from the last one.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        on_idle: Callable[[str], None] = lambda _name: None,
        on_change: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self._now = now
        self._on_idle = on_idle
        self._on_change = on_change
        self._slots: dict[str, _Slot] = {}
        self._lock = threading.Lock()
        self.shutting_down = False

    def show(self, view: View) -> None:
        """Replace the view; one of a lower version than the present one is ignored.

        The same version replaces: it may have been observed again, with a new reason or expiry.
        """
        with self._lock:
            slot = self._slot(view.name)
            if slot.view is not None and view.version < slot.view.version:
                return
            changed = slot.view != view
            slot.runs += not _serves(slot.view) and _serves(view)
            slot.view = view
        slot.notify()
        if changed:
            self._on_change(view.name)

    def view(self, name: str) -> View | None:
        """Return the newest view of this endpoint, None if none was shown yet."""
        slot = self._slots.get(name)
        return slot.view if slot is not None else None

    def names(self) -> tuple[str, ...]:
        """Return the endpoints of which anything is known."""
        return tuple(self._slots)

    def runs(self, name: str) -> int:
        """Return how often this endpoint has become ready."""
        slot = self._slots.get(name)
        return slot.runs if slot is not None else 0

    def in_flight(self, name: str) -> int:
        """Return the number of requests being answered. Held ones are not among them."""
        slot = self._slots.get(name)
        return slot.in_flight if slot is not None else 0

    def last_prompt(self, name: str) -> datetime:
        """See `ports.Gate`. Before the first prompt: the time of the first call."""
        slot = self._slot(name)
        if slot.prompts:
            return self._now()
        if slot.used_at is None:
            slot.used_at = self._now()
        return slot.used_at

    def waiting(self, name: str) -> int:
        """Return the number of requests being held."""
        slot = self._slots.get(name)
        return len(slot.line) if slot is not None else 0

    def standing(self, name: str) -> Standing:
        """Return the state of this endpoint's meter now."""
        return standing(self.view(name), self._now())

    def admit(self, name: str, *, prompt: bool = True) -> "Permit | None":
        """Return a permit for one request, in flight until it is released; None if not serving.

        A request that is no prompt is drained as any other, but does not count as use.
        `in_flight`, read at or after the close, includes every request admitted before it: the
        count is raised first, then time and view are compared.
        """
        slot = self._slots.get(name)
        if slot is None or slot.view is None or slot.view.status is not _RUNNING:
            return None
        slot.in_flight += 1
        now = self._now()
        view = slot.view
        address = view.address
        if now < view.open_until and view.status is _RUNNING and address is not None:
            if prompt:
                slot.prompts += 1
            return Permit(self, slot, address, prompt)
        self._release(slot)
        return None

    def admit_share(
        self, name: str, holder: str, limit: int, *, prompt: bool = True
    ) -> "Permit | None":
        """Return a permit as `admit` does, where at most `limit` requests are in flight.

        Holders share the places fairly; None also if there is none for this one.
        """
        slot = self._slot(name)
        if slot.places is None:
            slot.places = _Places(slot, self._now)
        places = slot.places
        places.limit = limit
        places.fill()  # those that wait come first
        if not places.serves() or not places.take(holder):
            return None
        permit = self.admit(name, prompt=prompt)
        if permit is None:
            places.shares.give_back(holder)
            return None
        return SharedPermit(permit, holder)

    def add_waiter(
        self, name: str, at_most: int, changed: Callable[[], None], holder: str = ""
    ) -> Waiter | None:
        """Return a waiter for one held request; None if there are `at_most` already.

        Where the line is full, a holder with fewer waiters than another displaces one of them.
        `changed` is called on the loop after each new view of this endpoint until the waiter is
        released, when its turn comes, and when it is displaced. Check the standing after this call:
        an earlier view causes no notification.
        """
        slot = self._slot(name)
        slot.loop = asyncio.get_running_loop()
        waiter = slot.line.add(holder, at_most, changed)
        if slot.places is not None:
            slot.places.fill_later()
        return waiter

    def recheck(self) -> None:
        """Have every held request look again, as after a new view; from any thread."""
        for slot in tuple(self._slots.values()):
            slot.notify()

    def shut_down(self) -> None:
        """Stop holding requests: notify all held ones, which find `shutting_down` set."""
        self.shutting_down = True
        for slot in self._slots.values():
            slot.notify()

    def _slot(self, name: str) -> "_Slot":
        slot = self._slots.get(name)
        return slot if slot is not None else self._slots.setdefault(name, _Slot())

    def _release(self, slot: "_Slot", *, prompt: bool = False) -> None:
        if prompt:
            if slot.prompts == 1:  # before the count: a reader that sees no prompt sees this
                slot.used_at = self._now()
            slot.prompts -= 1
        slot.in_flight -= 1
        if slot.in_flight:
            return
        view = slot.view
        if view is not None and self._now() >= view.open_until:
            self._on_idle(view.name)


class Permit:
    """One request in flight: `with permit: …`. Releasing twice counts once.

    `address` is where the endpoint answered when the request was admitted.
    """

    __slots__ = ("_gate", "_prompt", "_released", "_slot", "address")

    def __init__(self, gate: LocalGate, slot: "_Slot", address: str, prompt: bool) -> None:  # noqa: FBT001 (a keyword takes twice the time)
        self._gate = gate
        self._slot = slot
        self._prompt = prompt
        self._released = False
        self.address = address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the permit back."""
        if not self._released:
            self._released = True
            # The other half of `admit`.
            self._gate._release(self._slot, prompt=self._prompt)  # noqa: SLF001


class SharedPermit(Permit):
    """A permit that takes one of a limited number of places."""

    __slots__ = ("_holder",)

    def __init__(self, permit: Permit, holder: str) -> None:
        super().__init__(permit._gate, permit._slot, permit.address, permit._prompt)  # noqa: SLF001 (its own kind)
        self._holder = holder

    def release(self) -> None:
        """Give permit and place back; the next held request gets the place."""
        if not self._released:
            super().release()
            if (places := self._slot.places) is not None:
                places.give_back(self._holder)


class _Places:
    """The limited places of one endpoint."""

    __slots__ = ("_filling", "_now", "_retry", "_slot", "limit", "shares")

    def __init__(self, slot: "_Slot", now: Callable[[], datetime]) -> None:
        self._slot = slot
        self._now = now
        self._filling = False
        self._retry: asyncio.TimerHandle | None = None
        self.shares = FairShares()
        self.limit = 1

    def serves(self) -> bool:
        return standing(self._slot.view, self._now()) is _SERVING

    def take(self, holder: str) -> bool:
        return self.shares.take(holder, self.limit, time.monotonic())

    def give_back(self, holder: str) -> None:
        self.shares.give_back(holder)
        self.fill()

    def fill(self) -> None:
        """Let held requests go on as far as there are places, one holder after the other."""
        line = self._slot.line
        if self._filling or not line:
            return  # a request that ends at once comes here again: the loop below goes on
        self._filling = True
        try:
            while line and self.serves():
                waiter = line.pop_next(self._allows)
                if waiter is None:
                    break
                waiter.turn = True
                waiter.changed()
        finally:
            self._filling = False
        self.fill_later()

    def fill_later(self) -> None:
        """Try again where free places are kept for a refused holder, which may never come back."""
        free = self.shares.taken < self.limit and self.serves()
        if free and self._slot.line and self._retry is None:
            loop = asyncio.get_running_loop()
            self._retry = loop.call_later(PATIENCE_SECONDS, self._fill_again)

    def _fill_again(self) -> None:
        self._retry = None
        self.fill()

    def _allows(self, holder: str) -> bool:
        return self.shares.allows(holder, self.limit, time.monotonic())


class _Slot:
    """State of one endpoint. The counts are changed on the loop only."""

    __slots__ = ("in_flight", "line", "loop", "places", "prompts", "runs", "used_at", "view")

    def __init__(self) -> None:
        self.view: View | None = None
        self.in_flight = 0
        self.prompts = 0
        self.runs = 0
        self.used_at: datetime | None = None
        self.line = WaitingLine()
        self.places: _Places | None = None
        """None where the number of requests in flight is not limited."""
        self.loop: asyncio.AbstractEventLoop | None = None

    def notify(self) -> None:
        """Call the waiters on the loop; from any thread."""
        loop = self.loop
        if not self.line or loop is None or loop.is_closed():
            return
        try:
            loop.call_soon_threadsafe(self._call_waiters)
        except RuntimeError:
            # Closed between the two lines: with its loop every held request is gone too.
            return

    def _call_waiters(self) -> None:
        if self.places is not None:
            self.places.fill()
        for waiter in self.line:
            if waiter in self.line:
                waiter.changed()
