"""Meter, core and SageMaker driver together, on a wound clock: lives from start to end."""

from datetime import timedelta

import pytest

from parkmeter.core.journal import Kind
from parkmeter.core.meter import Spec
from parkmeter.drivers.sagemaker import Hosting, SageMakerDriver
from simulator.sagemaker.endpoint import Delays
from simulator.sagemaker.simulator import SageMakerSimulator
from tests.support.world import ADA, MINUTE, SECOND, World

A10G, A100 = "ml.g5.12xlarge", "ml.p4d.24xlarge"
DELAYS = Delays(create=40 * SECOND, provision=20 * SECOND, delete=10 * SECOND)


@pytest.fixture
def world():
    return World(Spec("flan-t5", drain=timedelta(0), warn_before=(), variants=(A10G, A100)))


@pytest.fixture
def cloud(world):
    with SageMakerSimulator(world.clock.now, delays=DELAYS) as simulator:
        simulator.add_config("on-a10g", A10G)
        simulator.add_config("on-a100", A100)
        hosting = Hosting("flan-t5", {A10G: "on-a10g", A100: "on-a100"})
        world.driver = SageMakerDriver(
            simulator.client(), "parkmeter", {"flan-t5": hosting}, world.clock.now
        )
        world.service = world.another_service()
        yield simulator
    assert simulator.bugs == []


def there(cloud):
    return [str(endpoint.status) for endpoint in cloud.account.endpoints()]


def deletes(cloud):
    return [call.refused for call in cloud.account.calls if call.operation == "DeleteEndpoint"]


def test_it_lives_as_long_as_its_meter_and_is_gone_afterwards(world, cloud):
    world.top_up(1)
    world.wind(45 * SECOND)
    assert (world.status(), there(cloud)) == ("running", ["InService"])
    world.wind(54 * SECOND)
    assert there(cloud) == ["InService"]
    world.wind(3 * SECOND)
    assert there(cloud) == ["Deleting"]
    world.wind(10 * SECOND)
    assert (world.status(), there(cloud)) == ("stopped", [])
    assert world.lines() == [Kind.TOP_UP, Kind.START, Kind.CREDIT, Kind.READY, Kind.STOP]


def test_an_eject_while_creating_is_carried_out_once_creating_is_over(world, cloud):
    world.top_up(10)
    world.wind(20 * SECOND)
    world.service.eject("flan-t5", ADA)
    world.wind(35 * SECOND)
    assert deletes(cloud) == [""]  # SageMaker would have refused any before
    assert (world.status(), there(cloud)) == ("stopped", [])
    assert Kind.FAILURE not in world.lines()


def test_without_capacity_the_next_instance_type_is_taken(world, cloud):
    cloud.faults.without_capacity.add(A10G)
    world.top_up(10)
    world.wind(2 * MINUTE)
    assert world.status() == "running"
    [endpoint] = cloud.account.endpoints()
    assert endpoint.config.name == "on-a100"


def test_over_the_quota_the_next_instance_type_is_taken(world, cloud):
    cloud.faults.quotas[A10G] = 0
    world.top_up(10)
    world.wind(MINUTE)
    assert world.status() == "running"
    [failure] = [line for line in world.service.journal("flan-t5", 9) if line.kind is Kind.FAILURE]
    assert "Service Quotas" in failure.why


def test_a_top_up_while_it_is_being_deleted_ends_with_a_running_endpoint(world, cloud):
    world.top_up(1)
    world.wind(103 * SECOND)
    assert there(cloud) == ["Deleting"]
    world.top_up(10)
    world.wind(MINUTE)
    assert (world.status(), there(cloud)) == ("running", ["InService"])


def test_the_name_of_somebody_elses_endpoint_is_a_failure_that_says_so(world, cloud):
    cloud.client().create_endpoint(EndpointName="flan-t5", EndpointConfigName="on-a10g")
    world.top_up(10)
    world.wind(5 * SECOND)
    assert world.status() == "failed"
    assert "parkmeter did not create" in world.service.report("flan-t5").shown.reason
    world.service.eject("flan-t5", ADA)
    world.wind(MINUTE)
    assert (world.status(), there(cloud)) == ("stopped", ["InService"])
    assert deletes(cloud) == []
