"""A deployment on moto and the simulated SageMaker, as most of these tests use it."""

from collections.abc import Iterator

import pytest

from simulator.moto_server import moto_server
from tests.support.aws_life import Life, new_life
from tests.support.custom_resources import CloudFormation, cloudformation
from tests.support.wound_sagemaker import Wound


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def life(moto: str, clock: Wound, monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    """Flan-T5 defined, nothing provisioned yet."""
    with new_life(moto, clock, monkeypatch) as life:
        yield life


@pytest.fixture
def running(life: Life) -> Life:
    """In service, with ten minutes left."""
    life.top_up(10)
    life.wind(minutes=1, seconds=5)
    assert life.status() == "running"
    return life


@pytest.fixture
def answers() -> Iterator[CloudFormation]:
    with cloudformation() as server:
        yield server
