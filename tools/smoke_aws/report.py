"""The report of a run, in Markdown. Pure; no account id, no ARN, no token."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from parkmeter.core.finding import Finding
from parkmeter.drivers.sagemaker_errors import redact
from tools.smoke_aws.facts import FACTS
from tools.smoke_aws.run import DOLLARS_AN_HOUR, INSTANCE_TYPE, Run


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `trouble`: why it failed, empty if it did not; `seen`: what it is proved by."""

    title: str
    seconds: float
    seen: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a run has seen."""

    run: Run
    steps: Sequence[Step]
    facts: Mapping[str, str]
    findings: Sequence[Finding]
    left: Sequence[str]
    lasted: timedelta

    @property
    def succeeded(self) -> bool:
        """Return whether every step did what it should and nothing is left."""
        return not self.left and not any(step.trouble for step in self.steps)


def report(outcome: Outcome) -> str:
    """Return the report."""
    run, result = outcome.run, "succeeded" if outcome.succeeded else "FAILED"
    minutes = outcome.lasted.total_seconds() / 60
    lines = [
        f"# Smoke test on AWS: {result}",
        "",
        f"{run.began:%Y-%m-%d %H:%M} UTC, {run.region}, prefix `{run.prefix}`.",
        f"{minutes:.0f} minutes. {_cost(run, minutes)}",
        "",
        "## Steps",
        "",
        "| step | seconds | result |",
        "|---|---|---|",
        *(
            f"| {step.title} | {step.seconds:.0f} | {_cell(step.trouble or step.seen or 'done')} |"
            for step in outcome.steps
        ),
        "",
        "## Assumptions about AWS",
        "",
        "| question | assumed | seen | verdict |",
        "|---|---|---|---|",
        *(
            f"| {fact.question} | {_cell(fact.assumed)} | {_cell(outcome.facts.get(fact.key, ''))} "
            f"| {fact.verdict(outcome.facts.get(fact.key))} |"
            for fact in FACTS
        ),
        "",
        "## `parkmeter doctor --aws` while it ran",
        "",
        *(f"- {one.level}: {one.what}: {redact(one.seen)}" for one in outcome.findings),
        "",
        "## What is left",
        "",
        *([f"- {one}" for one in outcome.left] or ["Nothing under this prefix."]),
        "CDK's bootstrap (`CDKToolkit`) and the packages in its bucket stay, for cents a month.",
        "",
    ]
    return "\n".join(lines)


def _cost(run: Run, minutes: float) -> str:
    if run.instance_type != INSTANCE_TYPE:
        return f"Three instances of {run.instance_type} for at most that time."
    dollars = 3 * DOLLARS_AN_HOUR * minutes / 60
    return f"At most ${dollars:.2f}, were all three instances up the whole time."


def _cell(text: str) -> str:
    return redact(" ".join(text.split())).replace("|", "\\|")[:400]
