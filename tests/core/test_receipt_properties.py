"""Properties of every receipt, for any journal: nothing is lost in the parts."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import ZERO
from parkmeter.core.money import Minutes
from parkmeter.core.receipt import Receipt
from tests.support.replayed import receipt
from tests.support.world import ADA, BOB, NOON, SECOND, World, spec

A_UNIT = Decimal("0.0001")
HOUR = timedelta(hours=1)
WEEK = 7 * 24 * 3600
MOMENTS = st.integers(-WEEK, WEEK).map(lambda seconds: NOON + seconds * SECOND)
PRICES = st.one_of(st.none(), st.decimals(0, 100, places=4))
KNOWN_PRICES = st.decimals(0, 100, places=4)


def lines_of(prices: st.SearchStrategy[Decimal | None]) -> st.SearchStrategy[list[Entry]]:
    """Journals as no sane endpoint writes them: any lines at any moments."""
    line = st.builds(
        Entry,
        endpoint=st.just("flan-t5"),
        kind=st.sampled_from(Kind),
        at=MOMENTS,
        who=st.sampled_from(["ada", "bob", "cleo"]),
        why=st.just(""),
        key=st.sampled_from(["a", "trouble:b"]),
        expires_at=MOMENTS,
        amount=st.integers(-3600, 7200).map(lambda seconds: seconds * SECOND),
        price_per_hour=prices,
    )
    return st.lists(line, max_size=30)


def sane(found: Receipt) -> None:
    """Check one receipt by itself."""
    period = found.end - found.begin
    assert ZERO <= found.unpriced <= found.time_on <= period
    for pieces in (found.parts, found.runs):
        assert sum((piece.time_on for piece in pieces), ZERO) == found.time_on
        assert all(piece.time_on >= ZERO for piece in pieces)
        assert all(piece.cost is None or piece.cost >= 0 for piece in pieces)
        if found.cost is not None:
            assert sum((piece.cost for piece in pieces), Decimal(0)) == found.cost
    assert (found.cost is None) == (found.unpriced > ZERO)
    if found.cost is None:
        assert all(part.cost is None for part in found.parts if not part.time_on)
    assert (found.known_cost is None) == (ZERO < found.unpriced == found.time_on)
    if found.cost is not None:
        assert found.known_cost == found.cost
    elif found.known_cost is not None:
        for pieces in (found.parts, found.runs):
            known = sum((piece.cost or Decimal(0) for piece in pieces), Decimal(0))
            assert known <= found.known_cost + len(pieces) * Decimal("0.0001")
    assert all(part.bought >= ZERO for part in found.parts)
    if found.saved is not None:
        assert found.saved == found.always_on_cost - found.cost
        assert found.saved >= 0


@given(lines_of(PRICES), PRICES, MOMENTS, MOMENTS)
def test_parts_and_runs_add_up_to_the_whole_and_nothing_is_negative(lines, price, one, other):
    sane(receipt(lines, "flan-t5", price, min(one, other), max(one, other)))


@given(lines_of(KNOWN_PRICES), st.tuples(MOMENTS, MOMENTS, MOMENTS).map(sorted))
def test_a_period_cut_in_two_adds_up(lines, moments):
    begin, middle, end = moments
    first, second, whole = (
        receipt(lines, "flan-t5", Decimal(7), *period)
        for period in ((begin, middle), (middle, end), (begin, end))
    )
    assert first.time_on + second.time_on == whole.time_on
    assert abs(first.cost + second.cost - whole.cost) <= A_UNIT
    assert abs(first.always_on_cost + second.always_on_cost - whole.always_on_cost) <= A_UNIT
    for who in {part.who for part in whole.parts}:
        shares = [
            sum((part.time_on for part in found.parts if part.who == who), ZERO)
            for found in (first, second, whole)
        ]
        assert shares[0] + shares[1] == shares[2]
        bought = [
            sum((part.bought for part in found.parts if part.who == who), ZERO)
            for found in (first, second, whole)
        ]
        assert bought[0] + bought[1] == bought[2]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wind"), st.integers(1, 3600)),
        st.tuples(st.sampled_from(["ada", "bob"]), st.integers(1, 60)),
        st.tuples(st.just("eject"), st.just(0)),
        st.tuples(st.just("fail"), st.just(0)),
        st.tuples(st.just("slow"), st.integers(0, 1800)),
    ),
    max_size=15,
)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_what_the_driver_was_asked_for_is_what_the_receipt_counts(steps):
    """Against a meter that lived: on from each start call to when the driver saw it end."""
    world = World(spec(price_per_hour=Decimal(7)))
    on = ZERO
    for what, number in [*steps, ("wind", 1)]:
        match what:
            case "wind":
                for _ in range(number):
                    if any(world.driver.owned()):
                        on += SECOND
                    world.wind(SECOND)
            case "eject":
                world.service.eject("flan-t5", ADA)
            case "fail" if any(world.driver.owned()):
                world.driver.crash("flan-t5", "out of memory")
            case "slow":
                world.driver.start_takes = number * SECOND
            case "fail":
                pass
            case who:
                world.service.top_up("flan-t5", Minutes.of(number), ADA if who == "ada" else BOB)
    found = world.service.receipt("flan-t5")
    sane(found)
    edges = timedelta(seconds=2 * (2 * len(found.runs) + 1))
    assert abs(found.time_on - on) <= edges
