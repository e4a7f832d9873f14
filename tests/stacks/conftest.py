"""The templates under test, synthesized once without building Lambda packages."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.cdk import use_packaged_node

ROOT = Path(__file__).parents[2]

use_packaged_node()

from tests.support.synthesized import Templates, synthesized  # noqa: E402 (needs node)


@pytest.fixture(scope="session")
def context() -> dict[str, object]:
    return json.loads((ROOT / "cdk.json").read_text())["context"]


@pytest.fixture(scope="session")
def seed(tmp_path_factory: pytest.TempPathFactory, context: dict[str, object]) -> Templates:
    """The templates of app.py as it is."""
    import app  # noqa: PLC0415 (needs node)

    return synthesized(app.SETTINGS, tmp_path_factory.mktemp("seed"), context)


@pytest.fixture(scope="session")
def several(
    tmp_path_factory: pytest.TempPathFactory, context: dict[str, object]
) -> Iterator[Templates]:
    """All examples, under another prefix, in another region, with an address for messages."""
    import app  # noqa: PLC0415 (needs node)
    from stacks.settings import Settings  # noqa: PLC0415

    settings = Settings(
        region="eu-west-1",
        prefix="acme",
        endpoints=app.EXAMPLES,
        notification_email="ops@example.org",
        notification_events=("warning", "failure"),
        public_url="https://meter.example.org",
    )
    return synthesized(settings, tmp_path_factory.mktemp("several"), context)
