"""The gate of one process: which meters are open, where their endpoints are, what is in flight.

The control side shows it views from any thread; the data plane asks it on its event loop and never
waits for the core. It may not know HTTP, tokens or prices.
"""

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime
from enum import Enum, auto
from typing import Self

from parkmeter.core.meter import Status
from parkmeter.core.view import View


class Standing(Enum):
    """How a meter stands, as far as a prompt is concerned."""

    SERVING = auto()
    WAITING = auto()
    """Open but not serving yet, or not known yet because the gateway has just started."""
    CLOSED = auto()


_SERVING = Standing.SERVING
_RUNNING = Status.RUNNING
"""Bound once: Python 3.11 takes 130 ns to find a member in its enum."""


def standing(view: View | None, now: datetime) -> Standing:
    """How the meter of `view` stands at `now`. At `open_until` itself it is closed."""
    if view is None:
        return Standing.WAITING
    if now >= view.open_until:
        return Standing.CLOSED
    if view.status is _RUNNING and view.address is not None:
        return _SERVING
    return Standing.WAITING


class LocalGate:
    """Implements `ports.Gate` where all prompts pass through this process and one event loop.

    `show`, `view`, `in_flight` and `last_prompt` may be called from any thread; everything else
    only on the loop.
    `now` reads the clock (aware, UTC). `on_idle(name)` is called on the loop when the last request
    in flight leaves an endpoint whose meter is closed: it must not block, nor may `on_change()`,
    which is called from any thread after a view that differs from the one before.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        on_idle: Callable[[str], None] = lambda _name: None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._now = now
        self._on_idle = on_idle
        self._on_change = on_change
        self._slots: dict[str, _Slot] = {}
        self._lock = threading.Lock()
        self.dismissed = False

    def show(self, view: View) -> None:
        """Take a newer view; one of a lower version than the present one is ignored.

        The same version replaces: a second look at it may have brought a new reason or expiry.
        """
        with self._lock:
            slot = self._slot(view.name)
            if slot.view is not None and view.version < slot.view.version:
                return
            changed, slot.view = slot.view != view, view
        slot.announce()
        if changed:
            self._on_change()

    def view(self, name: str) -> View | None:
        """The newest view of this endpoint, None if none was shown yet."""
        slot = self._slots.get(name)
        return slot.view if slot is not None else None

    def in_flight(self, name: str) -> int:
        """Requests being answered right now. Held ones are not among them."""
        slot = self._slots.get(name)
        return slot.in_flight if slot is not None else 0

    def last_prompt(self, name: str) -> datetime:
        """See `ports.Gate`. Before the first prompt: when this was asked first."""
        slot = self._slot(name)
        if slot.prompts:
            return self._now()
        if slot.used_at is None:
            slot.used_at = self._now()
        return slot.used_at

    def waiting(self, name: str) -> int:
        """Requests being held right now."""
        slot = self._slots.get(name)
        return slot.waiting if slot is not None else 0

    def standing(self, name: str) -> Standing:
        """How this endpoint's meter stands now."""
        return standing(self.view(name), self._now())

    def admit(self, name: str, *, prompt: bool = True) -> "Permit | None":
        """A seat for one request, counted as in flight until it is left; None if not serving.

        A request that is no prompt is drained as any other, but no use of the endpoint.
        Whoever reads `in_flight` at or after the close sees every request that was admitted
        before it: the count is raised first, then time and view are looked at.
        """
        slot = self._slots.get(name)
        if slot is None or slot.view is None or slot.view.status is not _RUNNING:
            return None
        slot.in_flight += 1
        now = self._now()
        view = slot.view
        if now < view.open_until and view.status is _RUNNING and view.address is not None:
            if prompt:
                slot.prompts += 1
            return Permit(self, slot, view.address, prompt=prompt)
        self._leave(slot)
        return None

    def hold(self, name: str, at_most: int, changed: Callable[[], None]) -> "Waiter | None":
        """A place for one held request; None if `at_most` are taken already.

        `changed` is called on the loop after each new view of this endpoint until the place is
        left. Look at the standing once the place is taken: a view shown before is not announced.
        """
        slot = self._slot(name)
        return Waiter(slot, changed) if slot.waiting < at_most else None

    def dismiss(self) -> None:
        """Hold nobody any more: wake all held requests, which find `dismissed` set."""
        self.dismissed = True
        for slot in self._slots.values():
            slot.announce()

    def _slot(self, name: str) -> "_Slot":
        slot = self._slots.get(name)
        return slot if slot is not None else self._slots.setdefault(name, _Slot())

    def _leave(self, slot: "_Slot", *, prompt: bool = False) -> None:
        if prompt:
            slot.used_at = self._now()  # before the count: who sees no prompt sees this
            slot.prompts -= 1
        slot.in_flight -= 1
        view = slot.view
        if not slot.in_flight and view is not None and self._now() >= view.open_until:
            self._on_idle(view.name)


class Permit:
    """One request in flight: `with seat: …`. Leaving twice counts once.

    `address` is where the endpoint answered when the request was admitted.
    """

    __slots__ = ("_gate", "_left", "_prompt", "_slot", "address")

    def __init__(self, gate: LocalGate, slot: "_Slot", address: str, *, prompt: bool) -> None:
        self._gate = gate
        self._slot = slot
        self._prompt = prompt
        self._left = False
        self.address = address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Give the seat up."""
        if not self._left:
            self._left = True
            # The other half of `admit`.
            self._gate._leave(self._slot, prompt=self._prompt)  # noqa: SLF001


class Waiter:
    """One held request; it counts until it is left. Leaving twice counts once."""

    __slots__ = ("_slot", "changed")

    def __init__(self, slot: "_Slot", changed: Callable[[], None]) -> None:
        self._slot = slot
        self.changed = changed
        slot.held.add(self)
        slot.loop = asyncio.get_running_loop()

    def leave(self) -> None:
        """Give the place up."""
        self._slot.held.discard(self)


class _Slot:
    """What the gate knows of one endpoint. The counts are changed on the loop only."""

    __slots__ = ("held", "in_flight", "loop", "prompts", "used_at", "view")

    def __init__(self) -> None:
        self.view: View | None = None
        self.in_flight = 0
        self.prompts = 0
        self.used_at: datetime | None = None
        self.held: set[Waiter] = set()
        self.loop: asyncio.AbstractEventLoop | None = None

    @property
    def waiting(self) -> int:
        """Requests being held right now."""
        return len(self.held)

    def announce(self) -> None:
        """Wake the held requests; from any thread."""
        loop = self.loop
        if not self.held or loop is None or loop.is_closed():
            return
        try:
            loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            # Closed between the two lines: with its loop every held request is gone too.
            return

    def _wake(self) -> None:
        for place in tuple(self.held):
            if place in self.held:
                place.changed()
