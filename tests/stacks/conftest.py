"""The templates under test, synthesized once without building Lambda packages."""

import dataclasses
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


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory, context: dict[str, object]) -> Templates:
    """In an account with rules of its own: every setting that an account may ask for is on."""
    import app  # noqa: PLC0415 (needs node)
    from stacks.settings import ExistingTable, Settings, Vpc  # noqa: PLC0415

    account = "111122223333"
    flan = dataclasses.replace(
        app.FLAN_T5_XXL,
        instance_count=2,
        inference_ami_version="al2-ami-sagemaker-inference-gpu-2",
        vpc=Vpc(subnets=("subnet-0a1b2c3d",), security_groups=("sg-0a1b2c3d",)),
        prompts_at_once=100,
        async_metered=True,
    )
    smollm = dataclasses.replace(app.SMOLLM, instance_types=("ml.m5.2xlarge",), async_queue=False)
    settings = Settings(
        region="us-east-1",
        endpoints=(flan, smollm),
        notification_email="ops@example.org",
        auth_table=ExistingTable("pass-codes"),
        meters_table="ml-meters",
        production=True,
        tags={"team": "search"},
        kms_key=f"arn:aws:kms:us-east-1:{account}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        permissions_boundary=f"arn:aws:iam::{account}:policy/team-boundary",
        clock_concurrency=50,
    )
    return synthesized(settings, tmp_path_factory.mktemp("guarded"), context)
