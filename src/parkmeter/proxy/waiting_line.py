"""The held requests of one endpoint: a line for each holder (a token), served in turn.

It may not know why they wait, nor requests or tokens.
"""

from collections.abc import Callable, Iterator


class Waiter:
    """One held request; it counts until it is released. Releasing twice counts once.

    `changed` is called when there may be something new for it: a view, its turn, or `displaced`:
    another holder got its place.
    """

    __slots__ = ("_line", "changed", "displaced", "holder", "turn")

    def __init__(self, line: "WaitingLine", holder: str, changed: Callable[[], None]) -> None:
        self._line = line
        self.holder = holder
        self.changed = changed
        self.displaced = False
        self.turn = False
        """There is a place for it: it may go on now, in this call of `changed`."""

    def release(self) -> None:
        """Wait no longer."""
        self._line.discard(self)


class WaitingLine:
    """Waiters by holder. A full line makes room for a holder that has fewer than another.

    Its length is the number of waiters; iteration yields them in no particular order.
    """

    __slots__ = ("_by_holder", "_length")

    def __init__(self) -> None:
        self._by_holder: dict[str, dict[Waiter, None]] = {}
        """In the order in which the holders' turns come."""
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Waiter]:
        return iter([waiter for line in self._by_holder.values() for waiter in line])

    def __contains__(self, waiter: Waiter) -> bool:
        return waiter in self._by_holder.get(waiter.holder, ())

    def add(self, holder: str, at_most: int, changed: Callable[[], None]) -> Waiter | None:
        """Return a new waiter; None if there are `at_most` already and none can be displaced.

        The one that makes room is the newest of the holder with most, if that has more than this
        one would have.
        """
        displaced = None
        if self._length >= at_most:
            longest = max(self._by_holder.values(), key=len, default={})
            if len(longest) <= len(self._by_holder.get(holder, ())) + 1:
                return None
            displaced = next(reversed(longest))
            self.discard(displaced)
        waiter = Waiter(self, holder, changed)
        self._by_holder.setdefault(holder, {})[waiter] = None
        self._length += 1
        if displaced is not None:
            displaced.displaced = True
            displaced.changed()
        return waiter

    def discard(self, waiter: Waiter) -> None:
        """Remove a waiter; harmless twice."""
        line = self._by_holder.get(waiter.holder)
        if line is None or waiter not in line:
            return
        del line[waiter]
        self._length -= 1
        if not line:
            del self._by_holder[waiter.holder]

    def pop_next(self, allows: Callable[[str], bool]) -> Waiter | None:
        """Remove and return the oldest waiter of the next holder that is allowed; None if none is.

        That holder's next turn comes after those of all others.
        """
        holder = next(filter(allows, self._by_holder), None)
        if holder is None:
            return None
        line = self._by_holder.pop(holder)
        self._by_holder[holder] = line
        waiter = next(iter(line))
        self.discard(waiter)
        return waiter
