"""Checks of a receipt: its parts add up to the cent, and to what the journal says by hand."""

from decimal import Decimal

from parkmeter.core.journal import Kind
from parkmeter.core.meter import ZERO
from parkmeter.core.money import dollars_from
from parkmeter.core.receipt import Receipt
from parkmeter.errors import ParkmeterError
from tests.simulation.invariants import cost_by_hand
from tests.simulation.scheduler import Task
from tests.simulation.world import World


def check_receipt(world: World, name: str, task: Task) -> None:
    """Check a receipt of everything up to now."""
    found = task.result
    if not isinstance(found, Receipt):
        if not isinstance(task.error, ParkmeterError):
            world.judge(task)
        return
    fail = world.checks.fail
    for parts in (found.parts, found.runs):
        if sum((part.time_on for part in parts), ZERO) != found.time_on:
            fail(f"{name}: the times of a receipt do not add up: {found}")
        costs = [part.cost for part in parts]
        if found.cost is not None and sum(costs, Decimal(0)) != found.cost:
            fail(f"{name}: the sums of a receipt do not add up: {found}")
    if found.saved is not None and found.saved < 0:
        fail(f"{name}: saved less than nothing: {found}")
    if task.facts.get("held up"):
        return  # its lines may be older than the present ones
    lines = world.checks.journal.get(name, [])
    bought = sum(
        (
            line.amount
            for line in lines
            if line.kind in {Kind.TOP_UP, Kind.EDIT}
            and line.amount > ZERO
            and found.begin <= line.at < found.end
        ),
        ZERO,
    )
    if bought != sum((part.bought for part in found.parts), ZERO):
        fail(f"{name}: {bought} were bought, and its receipt says: {found}")
    if world.checks.steps_back:
        return
    by_hand = cost_by_hand(lines, found.price_per_hour, found.end)
    if (None if by_hand is None else dollars_from(by_hand * 10_000)) != found.cost:
        fail(f"{name}: {by_hand} by hand, and its receipt says: {found}")
