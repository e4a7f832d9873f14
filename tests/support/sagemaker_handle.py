"""The SageMaker driver for the contract suite: on the simulator, on a clock that tests move."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Self

from parkmeter.core.meter import Spec
from parkmeter.drivers.sagemaker import Hosting, SageMakerDriver
from simulator.sagemaker.endpoint import Delays
from simulator.sagemaker.simulator import SageMakerSimulator

A10G, H100 = "ml.g5.12xlarge", "ml.p5.48xlarge"
SECOND = timedelta(seconds=1)


class SageMakerHandle:
    on_leash = False
    stops_while_starting = False
    address_begins = "good"

    def __init__(self) -> None:
        self._now = datetime(2026, 6, 22, 8, 0, tzinfo=UTC)
        delays = Delays(create=SECOND, provision=SECOND, delete=SECOND)
        self.sagemaker = SageMakerSimulator(self.now, delays=delays)

    def __enter__(self) -> Self:
        self.sagemaker.__enter__()
        self.sagemaker.add_config("on-a10g", A10G)
        self.sagemaker.add_config("on-h100", H100)
        self.sagemaker.faults.quotas[H100] = 0
        configs = {A10G: "on-a10g", H100: "on-h100"}
        self.driver = SageMakerDriver(
            self.sagemaker.client(),
            "parkmeter",
            {name: Hosting(name, configs) for name in ("good", "slow", "bad", "impossible")},
            self.now,
        )
        return self

    def __exit__(self, *error: object) -> None:
        self.sagemaker.__exit__(*error)
        assert self.sagemaker.bugs == []

    def good(self) -> Spec:
        return Spec("good", variants=(A10G,))

    def slow(self) -> Spec:
        return Spec("slow", variants=(A10G,))

    def fails_once(self) -> Spec:
        self.sagemaker.faults.fail_next_create("bad", "CannotStartContainer: no such weights.")
        return Spec("bad", variants=(A10G,))

    def impossible(self) -> Spec:
        return Spec("impossible", variants=(H100,))

    def now(self) -> datetime:
        return self._now

    def pass_time(self) -> None:
        self._now += timedelta(milliseconds=200)

    def starts_of(self, spec: Spec) -> int:
        return self.sagemaker.account.lives[spec.name]


@contextlib.contextmanager
def sagemaker() -> Iterator[SageMakerHandle]:
    with SageMakerHandle() as handle:
        yield handle
