"""JumpStart's facts, from `jumpstart.json`: synth needs no network.

The file pins versions, because versions differ in their contract: Flan-T5 1.x takes `text_inputs`,
2.x has TGI's. Knows no construct.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

_FACTS = Path(__file__).with_name("jumpstart.json")
_DEEP_LEARNING_CONTAINERS = "tgi"
"""The list of accounts that covers most regions; each account holds all of AWS's containers."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One version of one model. `artifact_key`: in JumpStart's bucket of the region."""

    image: str
    account: str
    artifact_key: str
    artifact_is_prefix: bool
    instance_types: tuple[str, ...]
    environment: Mapping[str, str]


def fact(model_id: str, version: str, region: str) -> Fact:
    """Return the facts of a model in a region.

    Raises:
        ValueError: unknown model, version or region; names the known ones.

    """
    versions = _facts()["models"].get(model_id)
    if versions is None:
        raise ValueError(f"JumpStart model {model_id!r}: known are {_list(_facts()['models'])}")
    if version not in versions:
        raise ValueError(f"{model_id} {version!r}: known versions are {_list(versions)}")
    known = versions[version]
    return Fact(
        image=known["image"],
        account=_account(known["accounts"], region, model_id),
        artifact_key=known["artifact_key"],
        artifact_is_prefix=known["artifact_is_prefix"],
        instance_types=tuple(known["instance_types"]),
        environment=known["environment"],
    )


def bucket(region: str) -> str:
    """Return JumpStart's bucket, which every account may read."""
    return f"jumpstart-cache-prod-{region}"


def containers_account(region: str) -> str:
    """Return the account of AWS's deep learning containers in a region.

    Raises:
        ValueError: unknown region.

    """
    return _account(_DEEP_LEARNING_CONTAINERS, region, "AWS's containers")


def _account(accounts: str, region: str, what: str) -> str:
    by_region: dict[str, str] = _facts()["accounts"][accounts]
    if region not in by_region:
        raise ValueError(f"region {region!r}: {what}: available in {_list(by_region)}")
    return by_region[region]


@lru_cache(maxsize=1)
def _facts() -> Any:
    return json.loads(_FACTS.read_text(encoding="utf-8"))


def _list(words: Mapping[str, Any]) -> str:
    return ", ".join(sorted(words))
