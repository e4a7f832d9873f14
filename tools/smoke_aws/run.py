"""One run: its names, its limits of time, and the file by which the watchdog knows it."""

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config

PROJECT = Path(__file__).resolve().parents[2]

STORY = timedelta(minutes=30)
"""Nothing new begins later than this."""

ALL_ENDED = timedelta(minutes=45)
"""Whatever happens, everything is being deleted from then on."""

LEAST_PREFIX, TAG = "smoke-", "parkmeter:smoke"

FLAN, BROKEN = "flan-t5", "broken"
ENDPOINTS = (FLAN, f"{FLAN}-async", BROKEN)

INSTANCE_TYPE, DOLLARS_AN_HOUR = "ml.m5.large", 0.115
"""List price of us-east-1, November 2026."""

MOST_DOLLARS = 0.50

_PATIENCE = Config(
    connect_timeout=5, read_timeout=75, retries={"mode": "standard", "total_max_attempts": 4}
)


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the smoke test. `retained`: names of models and configs that stacks leave behind.

    `api_url` replaces the address that the deployment has; `context` is passed to CDK.
    """

    prefix: str
    account: str
    region: str
    began: datetime
    folder: Path
    api_url: str | None = None
    context: tuple[str, ...] = ()
    instance_type: str = INSTANCE_TYPE
    retained: dict[str, list[str]] = field(default_factory=dict)

    @property
    def story_ends(self) -> datetime:
        """Return when the last step may begin."""
        return self.began + STORY

    @property
    def ends(self) -> datetime:
        """Return when the watchdog ends it."""
        return self.began + ALL_ENDED

    @property
    def packages(self) -> str:
        """Return the bucket of CDK's bootstrap, in its default form."""
        return f"cdk-hnb659fds-assets-{self.account}-{self.region}"

    @property
    def artifact(self) -> str:
        """Return the key of the container's `model.tar.gz` in that bucket."""
        return f"{self.prefix}/model.tar.gz"

    @property
    def file(self) -> Path:
        """Return the file that describes it."""
        return self.folder / "run.json"

    def stack(self, stack_id: str) -> str:
        """Return a stack's name in CloudFormation."""
        return f"{self.prefix}-{stack_id}"

    def endpoint(self, name: str) -> str:
        """Return an endpoint's name on SageMaker."""
        return f"{self.prefix}-{name}"

    def client(self, service: str) -> Any:
        """Return a new client of boto3's."""
        return boto3.client(service, region_name=self.region, config=_PATIENCE)

    def with_retained(self, kind: str, names: list[str]) -> Self:
        """Return the run with further names, written to its file."""
        known = self.retained.get(kind, [])
        changed = replace(self, retained={**self.retained, kind: sorted({*known, *names})})
        changed.write()
        return changed

    def write(self) -> None:
        """Write the file."""
        document = {**asdict(self), "began": self.began.isoformat(), "folder": str(self.folder)}
        self.file.write_text(json.dumps(document, indent=2), encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read the file of a run."""
        document = json.loads(file.read_text(encoding="utf-8"))
        document |= {
            "began": datetime.fromisoformat(document["began"]),
            "folder": file.parent,
            "context": tuple(document["context"]),
        }
        return cls(**document)


def remembered(folder: Path, prefix: str) -> dict[str, list[str]]:
    """Return what the runs of a prefix, by their files below a folder, know to be left behind.

    When the stacks are gone nothing else does: the names are CloudFormation's.
    """
    found: dict[str, set[str]] = {}
    for file in folder.glob("*/run.json"):
        run = Run.read(file)
        if run.prefix == prefix:
            for kind, names in run.retained.items():
                found.setdefault(kind, set()).update(names)
    return {kind: sorted(names) for kind, names in found.items()}


def now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)
