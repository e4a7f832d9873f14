"""A simulated SageMaker on a clock that the test moves, and its clients."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from simulator.sagemaker.simulator import SageMakerSimulator


@dataclass
class Wound:
    """A time of day that a test moves with `wind`."""

    time: datetime = datetime(2026, 6, 22, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def wind(self, **amount: float) -> None:
        self.time += timedelta(**amount)


@pytest.fixture
def clock() -> Wound:
    return Wound()


@pytest.fixture
def sagemaker(clock: Wound) -> Iterator[SageMakerSimulator]:
    """Yield a simulator with two configs, `on-a10g` and `on-a100`."""
    with SageMakerSimulator(clock.now) as simulator:
        simulator.add_config("on-a10g", "ml.g5.12xlarge")
        simulator.add_config("on-a100", "ml.p4d.24xlarge")
        yield simulator
    assert simulator.bugs == []


@pytest.fixture
def control(sagemaker: SageMakerSimulator):
    """Return boto3's client of the control plane."""
    return sagemaker.client()


@pytest.fixture
def runtime(sagemaker: SageMakerSimulator):
    """Return boto3's client of the runtime."""
    return sagemaker.client("sagemaker-runtime")
