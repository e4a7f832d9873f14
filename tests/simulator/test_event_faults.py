"""EventBridge's faults: events lost, doubled and late."""

import json
import queue
from types import SimpleNamespace
from typing import Any

import pytest

from simulator.cloudformation.stacks import Resource
from simulator.eventbridge import EventBus, EventFaults, new_event

RULE = Resource(
    {"Type": "AWS::Events::Rule"},
    {"EventPattern": {"source": ["test"]}, "Targets": [{"Arn": "function"}]},
    SimpleNamespace(get_cfn_attribute=lambda _name: "rule"),
)


def numbers(faults: EventFaults, events: int, *, ticks: int = 0) -> list[int]:
    """Return the events that a function got, up to the end of the bus."""
    received: queue.SimpleQueue[int] = queue.SimpleQueue()

    def start(_function: str, payload: bytes) -> None:
        received.put(json.loads(payload)["detail"]["number"])

    stacks: Any = SimpleNamespace(all=lambda: [RULE])
    with EventBus(stacks, start, lambda _rule, _function: True) as bus:
        bus.faults = faults
        for number in range(events):
            bus.put(new_event("test", "Test", {"number": number}))
        for _ in range(ticks):
            bus.tick()
    found = []
    while not received.empty():
        found.append(received.get())
    return found


def test_without_faults_each_event_comes_once_and_in_order():
    assert numbers(EventFaults(), 5) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("faults", "ticks", "expected"),
    [
        (EventFaults(lost=1), 1, []),
        (EventFaults(doubled=1), 0, [0, 0, 1, 1]),
        (EventFaults(late=1), 0, []),
        (EventFaults(late=1), 1, [0, 1]),
    ],
)
def test_faults_lose_double_and_delay(faults: EventFaults, ticks: int, expected: list[int]):
    assert numbers(faults, 2, ticks=ticks) == expected


def test_a_share_of_the_events_is_hit_the_same_ones_each_time():
    assert numbers(EventFaults(lost=0.5), 40) == numbers(EventFaults(lost=0.5), 40)
    assert 5 < len(numbers(EventFaults(lost=0.5), 40)) < 35


def test_a_rule_without_permission_starts_nothing():
    started: list[str] = []
    stacks: Any = SimpleNamespace(all=lambda: [RULE])
    with EventBus(stacks, lambda arn, _: started.append(arn), lambda *_: False) as bus:
        bus.put(new_event("test", "Test", {}))
    assert started == []
