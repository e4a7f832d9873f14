"""Two data planes that must be one and the same from outside: a scene played on both at once.

Where they differ the scene is made as small as it can be while they still do, and shown.
"""

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.memory_plane import LOGGED, Deed, MemoryPlane, Seen

Make = Callable[[], tuple[MemoryPlane, MemoryPlane]]

_TRIES = 1500
"""Scenes tried to make one smaller."""

_SHOWN = 1200
"""Characters shown of each side of a difference."""


@dataclass(frozen=True)
class Difference:
    """What two planes showed after the same deed."""

    deed: Deed | None
    one: Any
    other: Any

    def __str__(self) -> str:
        lines = [f"after {self.deed}:" if self.deed else "at the end:"]
        for name, one, other in _parts(self.one, self.other):
            if one != other:
                lines += [
                    f"  {name}",
                    f"    one:   {one!r:.{_SHOWN}}",
                    f"    other: {other!r:.{_SHOWN}}",
                ]
        return "\n".join(lines)


def _parts(one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, Seen) and isinstance(other, Seen):
        yield from zip(Seen._fields, one, other, strict=True)
    elif isinstance(one, tuple) and isinstance(other, tuple):
        yield from ((f"total {at}", a, b) for at, (a, b) in enumerate(zip(one, other, strict=True)))
    else:
        yield "what it did", one, other


class Twins:
    """Two planes, and all that happened to both."""

    def __init__(self, make: Make) -> None:
        self._one, self._other = make()
        self.deeds: list[Deed] = []
        self.left = 0

    def play(self, deed: Deed) -> Seen | Difference:
        """Have both do it; return what both showed, or where they differ."""
        self.deeds.append(deed)
        one, other = _played(self._one, deed), _played(self._other, deed)
        return one if isinstance(one, Seen) and one == other else Difference(deed, one, other)

    def end(self) -> Difference | None:
        """Return where their counts differ, if they do."""
        one, other = self._one.end(), self._other.end()
        self.left = sum(map(sum, one[0].counts)) + one[1]
        return None if one == other else Difference(None, one, other)

    @property
    def faults(self) -> list[str]:
        """Return the errors of either that are none of a client or a model server."""
        lines = [*self._one.log, *self._other.log, *self._one.loop.faults, *self._other.loop.faults]
        return [line for line in lines if "internal error" in line or "Error" in line]


def _played(plane: MemoryPlane, deed: Deed) -> Seen | str:
    try:
        return plane.play(deed)
    except Exception as error:  # noqa: BLE001 (a protocol must raise nothing)
        return f"raised {error!r}"


def check_scene(make: Make, scene: Generator[Deed, Seen, None]) -> int:
    """Play a scene on two planes; return the number of its deeds.

    Fails if they differ, with the smallest scene that was found in which they do.
    """
    twins = Twins(make)
    found: Difference | Seen | None = None
    try:
        deed = next(scene)
        while not isinstance(found := twins.play(deed), Difference):
            deed = scene.send(found)
    except StopIteration:
        found = twins.end()
    if isinstance(found, Difference):
        twins.end()
        deeds, found = smallest(make, twins.deeds, found)
        pytest.fail(_report(deeds, found))
    assert twins.faults == []
    assert twins.left == 0, "requests that go on without a client"
    return len(twins.deeds)


def difference(make: Make, deeds: Iterable[Deed]) -> Difference | None:
    """Return the first difference of two planes to which all this happens."""
    twins = Twins(make)
    for deed in deeds:
        if isinstance(found := twins.play(deed), Difference):
            twins.end()
            return found
    return twins.end()


def _report(deeds: Sequence[Deed], found: Difference) -> str:
    lines = [f"  {deed.what.value} [{deed.client}]: {deed.value!r}" for deed in deeds]
    return "\n".join(["two planes differ:", *lines, str(found)])


# ── The smallest scene ──────────────────────────────────────────────────────────────────────────


def smallest(make: Make, deeds: Sequence[Deed], found: Difference) -> tuple[list[Deed], Difference]:
    """Return the smallest scene found in which two planes differ, and how."""
    search = _Search(make, found)
    small = list(deeds)
    size = 0
    while search.left and len(small) != size:
        size = len(small)
        small = search.shorten(small, lambda kept: kept)
    for at, deed in enumerate(small):
        if not isinstance(deed.value, bytes):
            continue

        def with_value(kept: Sequence[bytes], at: int = at) -> list[Deed]:
            return [*small[:at], small[at]._replace(value=b"".join(kept)), *small[at + 1 :]]

        for split in (_lines, _bytes):
            pieces = search.shorten(split(small[at].value), with_value)
            small[at] = deed._replace(value=b"".join(pieces))
    return small, search.found


class _Search:
    """Tries smaller scenes, a bounded number of times."""

    def __init__(self, make: Make, found: Difference) -> None:
        self._make = make
        self.found = found
        self.left = _TRIES

    def shorten(self, parts: Sequence[Any], scene: Callable[[list[Any]], list[Deed]]) -> list[Any]:
        """Return the parts without those that the difference does not need."""
        kept = list(parts)
        step = max(1, len(kept) // 2)
        while True:
            at = 0
            while at < len(kept) and self.left:
                fewer = kept[:at] + kept[at + step :]
                if self._differs(scene(fewer)):
                    kept = fewer
                else:
                    at += step
            if step == 1 or not self.left:
                return kept
            step //= 2

    def _differs(self, deeds: list[Deed]) -> bool:
        self.left -= 1
        found = difference(self._make, deeds)
        if found is not None:
            self.found = found
        return found is not None


def _lines(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def _bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))] if len(data) < 400 else [data]


@contextmanager
def logged() -> Iterator[None]:
    """Have what the gateway logs be part of what planes show."""
    log = logging.getLogger("parkmeter")
    log.addHandler(LOGGED)
    before, log.propagate = log.propagate, False
    try:
        yield
    finally:
        log.propagate = before
        log.removeHandler(LOGGED)
