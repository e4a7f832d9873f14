"""The changes that one token makes on AWS: each costs a transaction and a run of the clock."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from parkmeter.api.change_rate import TooManyChangesError
from parkmeter.aws import change_rate
from parkmeter.aws.change_rate import CountedChanges
from simulator.deployment import Deployed, deployed
from simulator.sagemaker.simulator import SageMakerSimulator
from tests.support.api_gateway import ADA, BOB, gateway_to_control


@pytest.fixture
def deployment(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    monkeypatch.setattr(change_rate, "A_MINUTE", 3)
    with deployed(moto, monkeypatch.setenv) as made:
        yield made


@dataclass
class Clock:
    now: datetime = field(default_factory=lambda: datetime(2026, 6, 22, 12, 0, 20, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now


def test_a_token_has_so_many_changes_a_minute_over_all_functions(deployment: Deployed) -> None:
    clock, table = Clock(), deployment.tables.meters
    functions = [CountedChanges(deployment.dynamodb, table, clock) for _ in range(3)]
    for function in functions:
        function.take("t1")
    with pytest.raises(TooManyChangesError) as refused:
        functions[0].take("t1")
    assert refused.value.retry_after == 40
    functions[0].take("t2")  # another token
    functions[0].take("t1", "eject")  # another kind
    clock.now += timedelta(seconds=40)
    functions[0].take("t1")


def test_the_counts_expire(deployment: Deployed) -> None:
    clock, table = Clock(), deployment.tables.meters
    CountedChanges(deployment.dynamodb, table, clock).take("t1")
    (item,) = deployment.dynamodb.scan(TableName=table)["Items"]
    left = datetime.fromtimestamp(int(item["ttl"]), UTC) - clock.now
    assert timedelta(0) < left <= timedelta(hours=1)


def test_a_change_that_cannot_be_counted_is_allowed(
    deployment: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="dynamodb")

    monkeypatch.setattr(deployment.dynamodb, "update_item", refuse)
    CountedChanges(deployment.dynamodb, deployment.tables.meters, Clock()).take("t1")


def test_control_refuses_top_ups_without_end_and_still_ejects(
    moto: str, sagemaker: SageMakerSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_rate, "A_MINUTE", 3)
    with gateway_to_control(moto, sagemaker, monkeypatch) as gateway:
        # More than two minutes' worth: the minute may change meanwhile.
        said = [gateway.ask("POST", "/endpoints/flan-t5/top-ups", {"minutes": 1}) for _ in range(7)]
        assert said[0].status == 201
        (refused, *_) = [one for one in said if one.status != 201]
        assert (refused.status, refused.document["code"]) == (429, "too_many_changes")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert gateway.ask("POST", "/endpoints/flan-t5/eject").status == 200
        # A token that may not is refused for that, and counts nothing.
        asked = gateway.ask("POST", "/endpoints/flan-t5/top-ups", {"minutes": 1}, by=BOB)
        assert asked.status == 403
        items = gateway.deployment.dynamodb.scan(TableName=gateway.deployment.tables.meters)
        counted = {one["pk"] for one in items["Items"] if one["pk"].startswith("changes#")}
        assert counted == {f"changes#{ADA['id']}"}
