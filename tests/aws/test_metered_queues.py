"""Queues whose meter limits them: the scaling of an async endpoint follows the meter."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from parkmeter.aws.async_inference.capacity import MeteredQueues
from tests.support.aws_life import FLAN, Life

TARGET = "endpoint/parkmeter-flan-t5-async/variant/AllTraffic"
QUEUE = {"endpoint": "parkmeter-flan-t5-async", "bucket": "b", "stack": "FlanT5AsyncStack"}


@dataclass
class Scaling:
    """Behaves as boto3's client of Application Auto Scaling.

    `most`: the most instances of each registered target; `set_to`: the values it was set to;
    `troubles`: how often it will not answer. `instances`: of the endpoint, which a registration
    brings within the limit, unless the endpoint `is_scaling`.
    """

    most: dict[str, int] = field(default_factory=dict)
    set_to: list[int] = field(default_factory=list)
    troubles: int = 0
    instances: int = 0
    is_scaling: bool = False

    def describe_scalable_targets(
        self,
        ServiceNamespace: str,  # noqa: N803 (boto3's)
        ResourceIds: list[str],  # noqa: N803
    ) -> Mapping[str, Any]:
        if self.troubles:
            self.troubles -= 1
            raise EndpointConnectionError(endpoint_url="application-autoscaling")
        assert ServiceNamespace == "sagemaker"
        found = [
            {"ResourceId": one, "MaxCapacity": self.most[one]}
            for one in ResourceIds
            if one in self.most
        ]
        return {"ScalableTargets": found}

    def register_scalable_target(self, **request: Any) -> None:
        assert request["ScalableDimension"] == "sagemaker:variant:DesiredInstanceCount"
        assert request["MinCapacity"] == 0
        self.most[request["ResourceId"]] = request["MaxCapacity"]
        self.set_to.append(request["MaxCapacity"])
        if not self.is_scaling:
            self.instances = min(self.instances, request["MaxCapacity"])


@pytest.fixture
def scaling(life: Life) -> Scaling:
    """The scaling of the queue of flan-t5, as its stack deploys it: without any instance."""
    life.deployment.define(**{"async": QUEUE, "async_metered_instances": 2, "warn_minutes": []})
    made = Scaling({TARGET: 0})
    life.queues = MeteredQueues(frozenset({FLAN}), made)
    return made


def test_the_queue_has_instances_while_the_meter_is_open_and_none_after(
    life: Life, scaling: Scaling
) -> None:
    life.top_up(5)
    life.wind(minutes=1)
    assert scaling.most == {TARGET: 2}
    closes = life.meter().expires_at
    life.wind(seconds=(closes - life.now).total_seconds() + 2)
    assert scaling.most == {TARGET: 0}
    assert scaling.set_to[:2] == [2, 0]
    assert set(scaling.set_to[2:]) <= {0}


def test_an_eject_takes_the_instances_at_once(life: Life, scaling: Scaling) -> None:
    life.top_up(60)
    life.wind(minutes=3)
    life.eject()
    life.wind(seconds=2)
    assert scaling.most == {TARGET: 0}


def test_an_instance_that_was_just_starting_when_the_meter_closed_is_taken_by_a_sweep(
    life: Life, scaling: Scaling
) -> None:
    life.top_up(60)
    life.wind(minutes=3)
    scaling.instances, scaling.is_scaling = 1, True
    life.eject()
    life.wind(minutes=4)
    assert (scaling.most, scaling.instances) == ({TARGET: 0}, 1)
    scaling.is_scaling = False
    asked = len(scaling.set_to)
    life.wind(minutes=11)
    assert scaling.instances == 0
    assert len(scaling.set_to) - asked <= 3  # with each sweep, not with each tick


def test_a_scaling_that_does_not_answer_delays_no_stop_and_is_asked_again(
    life: Life, scaling: Scaling
) -> None:
    life.top_up(5)
    life.wind(minutes=4)
    scaling.troubles = 1000
    life.wind(minutes=6)
    assert life.there() == {}
    assert "could not be reconciled: flan-t5; see the log above" in life.failures
    scaling.troubles = 0
    life.wind(minutes=11)  # settled, so that only a sweep looks
    assert scaling.most == {TARGET: 0}


def test_a_stack_that_is_deployed_while_the_meter_is_open_gets_its_instances(
    life: Life, scaling: Scaling
) -> None:
    scaling.most.clear()
    life.top_up(60)
    life.wind(minutes=2)
    assert scaling.set_to == []
    scaling.most[TARGET] = 0
    life.wind(minutes=1, seconds=5)
    assert scaling.most == {TARGET: 2}


def test_a_closed_meter_takes_the_instances_although_its_definition_cannot_be_read(
    life: Life, scaling: Scaling
) -> None:
    life.top_up(5)
    life.wind(minutes=1)
    life.deployment.put(FLAN, "{}")
    del life.known  # as in a function that is started now: no earlier definition is remembered
    life.wind(minutes=1)
    assert scaling.most == {TARGET: 2}
    life.wind(minutes=5)
    assert scaling.most == {TARGET: 0}


def test_a_queue_without_a_meter_is_left_alone(life: Life, scaling: Scaling) -> None:
    life.deployment.define(**{"async": QUEUE})
    life.top_up(5)
    life.wind(minutes=2)
    assert scaling.set_to == []


def test_a_function_without_metered_queues_makes_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARKMETER_METERED_QUEUES", raising=False)
    assert MeteredQueues.of_environment() == MeteredQueues(frozenset(), None)


def test_the_definition_of_an_earlier_version_is_a_queue_without_a_meter(life: Life) -> None:
    life.deployment.define(**{"async": QUEUE})
    document = life.deployment.ssm.get_parameter(Name=life.deployment.path + FLAN)
    assert "async_metered_instances" not in json.loads(document["Parameter"]["Value"])
    queue = life.find([FLAN]).definitions[FLAN].queue
    assert queue is not None
    assert queue.metered_instances is None
