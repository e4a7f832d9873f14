"""Requirements of the base install, and those it must not have."""

import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import parkmeter

HEAVY = {"torch", "transformers", "aws-cdk-lib", "constructs", "moto", "boto3", "tensorflow"}
ENGINE = {"ctranslate2", "numpy", "tokenizers"}


def _base_requirements(name: str, seen: set[str]) -> set[str]:
    try:
        lines = requires(name) or []
    except PackageNotFoundError:  # for another platform
        return seen
    for line in lines:
        if "extra ==" in line:
            continue
        required = re.split(r"[^\w.-]", line, maxsplit=1)[0].lower()
        if required not in seen:
            seen.add(required)
            _base_requirements(required, seen)
    return seen


def test_the_base_install_has_neither_an_engine_nor_a_cloud():
    installed = _base_requirements("parkmeter", set())
    assert {"fastapi", "uvloop", "httptools"} <= installed
    assert not installed & (HEAVY | ENGINE)


def test_the_shipped_model_is_under_five_megabytes():

    folder = Path(parkmeter.__file__).parent / "model_server" / "demo"
    assert 0 < sum(file.stat().st_size for file in folder.iterdir()) < 5_000_000


def test_what_deploys_to_aws_can_also_examine_the_deployment():
    lines = (Path(__file__).parents[2] / "requirements.txt").read_text(encoding="utf-8")
    extras = re.search(r"^--editable \.\[(.*)\]$", lines, re.MULTILINE)
    assert extras is not None
    assert set(extras[1].split(",")) == {"aws", "cdk"}
