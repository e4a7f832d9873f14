"""The control routes, with one endpoint and with two."""

from decimal import Decimal

import pytest

from parkmeter.core.meter import Spec
from tests.support.control_routes import Front, front_of
from tests.support.world import spec


@pytest.fixture
def front() -> Front:
    return front_of(spec(price_per_hour=Decimal("7.09")))


@pytest.fixture
def two() -> Front:
    return front_of(Spec("flan-t5"), Spec("falcon"))
