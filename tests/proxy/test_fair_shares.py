"""Fair shares of places in flight, and the line of those that wait."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkmeter.proxy.fair_shares import PATIENCE_SECONDS, FairShares
from parkmeter.proxy.waiting_line import WaitingLine


def fill(shares: FairShares, holder: str, limit: int, now: float = 0.0) -> int:
    """Take places until there are no more; return their number."""
    taken = 0
    while shares.take(holder, limit, now):
        taken += 1
    return taken


# ── Places ──────────────────────────────────────────────────────────────────────────────────────


def test_a_holder_alone_may_take_every_place():
    assert fill(FairShares(), "ada", 10) == 10


def test_a_holder_over_its_share_gets_no_further_place_once_another_asked():
    shares = FairShares()
    fill(shares, "ada", 10)
    assert not shares.take("bob", 10, 0)
    for _ in range(5):
        shares.give_back("ada")
        assert not shares.take("ada", 10, 1)
        assert shares.take("bob", 10, 1)
        assert not shares.take("bob", 10, 1)
    shares.give_back("ada")
    assert shares.take("ada", 10, 1)  # each has half
    assert shares.taken == 10


def test_places_are_not_kept_for_a_holder_that_does_not_come_back():
    shares = FairShares()
    fill(shares, "ada", 4)
    assert not shares.take("bob", 4, 0)
    shares.give_back("ada")
    assert not shares.take("ada", 4, PATIENCE_SECONDS - 0.1)
    assert shares.take("ada", 4, PATIENCE_SECONDS)


def test_a_free_place_is_for_everyone_while_no_other_holder_asks():
    shares = FairShares()
    assert (fill(shares, "ada", 3), shares.take("bob", 4, 0)) == (3, True)
    shares.give_back("ada")
    assert shares.take("ada", 4, 0)  # over its share, but none waits for the place


def test_more_holders_than_places_have_one_each():
    shares = FairShares()
    assert fill(shares, "ada", 2) == 2
    for name in ("bob", "eve", "kim"):
        assert not shares.take(name, 2, 0)
    shares.give_back("ada")
    assert not shares.take("ada", 2, 0)
    assert fill(shares, "kim", 2) == 1


def test_two_holders_at_their_share_do_not_keep_each_other_out():
    shares = FairShares()
    for name in ("ada", "bob", "ada", "bob", "ada", "bob"):
        assert shares.take(name, 6, 0)
    assert not shares.take("ada", 6, 0)
    assert not shares.take("bob", 6, 0)
    shares.give_back("ada")
    shares.give_back("ada")
    assert shares.take("bob", 6, 0)
    assert shares.take("ada", 6, 0)


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.floats(0, 2)), max_size=80),
)
def test_places_are_never_overbooked_and_a_holder_below_its_share_gets_any_free_one(limit, steps):
    shares, held, now = FairShares(), Counter[str](), 0.0
    for holder, takes, later in steps:
        now += later
        if takes:
            free = held.total() < limit
            got = shares.take(holder, limit, now)
            held[holder] += got
            assert not (free and not got and held[holder] == 0)
        elif held[holder]:
            shares.give_back(holder)
            held[holder] -= 1
        assert shares.taken == held.total() <= limit


# ── The line ────────────────────────────────────────────────────────────────────────────────────


class Held:
    """Waiters in a line, and what became of them."""

    def __init__(self, at_most: int) -> None:
        self.line = WaitingLine()
        self.at_most = at_most
        self.displaced: list[str] = []

    def add(self, name: str):
        return self.line.add(
            name.rstrip("0123456789"), self.at_most, lambda: self.displaced.append(name)
        )

    def next(self, *barred: str) -> str | None:
        waiter = self.line.pop_next(lambda holder: holder not in barred)
        return waiter and waiter.holder


def test_a_holder_alone_may_fill_the_line_and_no_more():
    held = Held(3)
    assert all(held.add(f"ada{number}") for number in range(3))
    assert (held.add("ada3"), held.displaced, len(held.line)) == (None, [], 3)


def test_a_full_line_makes_room_for_a_holder_with_fewer_until_each_has_its_share():
    held = Held(4)
    waiters = [held.add(f"ada{number}") for number in range(4)]
    assert held.add("bob0")
    assert held.add("bob1")
    assert held.add("bob2") is None
    assert held.displaced == ["ada3", "ada2"]
    assert [waiter.displaced for waiter in waiters] == [False, False, True, True]
    assert len(held.line) == 4


@pytest.mark.parametrize("at_most", [0, 1])
def test_a_line_without_room_to_share_is_for_the_first(at_most):
    held = Held(at_most)
    assert bool(held.add("ada0")) == bool(at_most)
    assert held.add("bob0") is None


def test_holders_are_served_in_turn_each_with_its_oldest_first():
    held = Held(10)
    for name in ("ada0", "ada1", "ada2", "bob0", "eve0"):
        held.add(name)
    assert [held.next() for _ in range(6)] == ["ada", "bob", "eve", "ada", "ada", None]


def test_a_holder_that_may_not_go_on_does_not_hold_up_the_others():
    held = Held(10)
    held.add("ada0")
    held.add("bob0")
    assert [held.next("ada"), held.next("ada"), held.next()] == ["bob", None, "ada"]


def test_a_waiter_that_leaves_leaves_nothing():
    held = Held(2)
    first, second = held.add("ada0"), held.add("bob0")
    for waiter in (first, first, second):
        waiter.release()
    assert (len(held.line), list(held.line), held.next()) == (0, [], None)
