"""What parkmeter assumes about AWS without a source, and what a run has seen of it.

The assumptions are in one place, so that a run on a real account settles them and a run on the
simulated cloud shows that the simulator has the same.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The outcome for one assumption."""

    AS_ASSUMED = "as assumed"
    DIFFERS = "differs"
    SEEN = "seen"
    """There was no assumption, only a question."""
    NOT_SEEN = "not seen"


@dataclass(frozen=True, slots=True)
class Fact:
    """A question about AWS. `expected`: is what was seen as assumed? None: nothing is assumed."""

    key: str
    question: str
    assumed: str
    expected: Callable[[str], bool] | None = None

    def verdict(self, seen: str | None) -> Verdict:
        """Return the verdict on what was seen; None if nothing was."""
        if seen is None:
            return Verdict.NOT_SEEN
        if self.expected is None:
            return Verdict.SEEN
        return Verdict.AS_ASSUMED if self.expected(seen) else Verdict.DIFFERS


def _begins(pattern: str) -> Callable[[str], bool]:
    return lambda seen: re.match(pattern, seen, re.DOTALL) is not None


def _at_most(limit: float) -> Callable[[str], bool]:
    return lambda seen: float(seen.split()[0]) <= limit


def _has(*words: str) -> Callable[[str], bool]:
    return lambda seen: all(word in seen for word in words)


_IN_PROGRESS = r"ValidationException: Cannot update in-progress endpoint"

FACTS = (
    Fact(
        "gateway-type",
        "Content type of the errors that API Gateway raises itself (401, 403, 404)",
        "application/problem+json, by the override in single quotes",
        _begins(r"application/problem\+json$"),
    ),
    Fact("delete-creating", "DeleteEndpoint while Creating", _IN_PROGRESS, _begins(_IN_PROGRESS)),
    Fact(
        "delete-deleting",
        "DeleteEndpoint while Deleting",
        f"{_IN_PROGRESS} (the simulator's assumption)",
        _begins(_IN_PROGRESS),
    ),
    Fact(
        "create-existing",
        "CreateEndpoint with a name that exists",
        "ValidationException: Cannot create already existing endpoint",
        _begins("ValidationException: Cannot create already existing endpoint"),
    ),
    Fact(
        "describe-missing",
        "DescribeEndpoint of a missing endpoint",
        "ValidationException: Could not find endpoint",
        _begins('ValidationException: Could not find endpoint "'),
    ),
    Fact(
        "tags-missing",
        "ListTags of a missing endpoint",
        "ValidationException: Resource does not exist",
        _begins("ValidationException: Resource does not exist"),
    ),
    Fact(
        "invoke-missing",
        "InvokeEndpoint of a missing endpoint",
        "ValidationError: Endpoint … of account … not found.",
        _begins("ValidationError: Endpoint .* not found"),
    ),
    Fact(
        "async-of-plain",
        "InvokeEndpointAsync of an endpoint that is not async",
        "ValidationError (the words are the simulator's)",
        _begins("ValidationError: "),
    ),
    Fact(
        "plain-of-async",
        "InvokeEndpoint of an async endpoint",
        "ValidationError (the words are the simulator's)",
        _begins("ValidationError: "),
    ),
    Fact(
        "large-body",
        "InvokeEndpoint with a body of 7 MB",
        "6 MB in botocore's model; 25 MB since 2025 from memory",
    ),
    Fact(
        "model-error",
        "An error of the container",
        "ModelError, HTTP 424, with the original status and message",
        _begins(r"ModelError: 424, original [45]\d\d"),
    ),
    Fact(
        "async-failure",
        "What a failed async job leaves in the bucket",
        "one object under failures/, with the model's message",
        _begins("failures/"),
    ),
    Fact(
        "async-message",
        "What a failed async job sends to its topic",
        "invocationStatus Failed",
        _has("Failed"),
    ),
    Fact(
        "events",
        "States of which EventBridge has events",
        "IN_SERVICE and DELETING at least, in UPPER_SNAKE; DELETED: no source",
        _has("IN_SERVICE", "DELETING"),
    ),
    Fact("event-delay", "Time from a change to its event, at most", "seconds", _at_most(60)),
    Fact("events-doubled", "Events that came twice", "possible"),
    Fact(
        "log-streams",
        "Log streams of a container",
        "AllTraffic/i-…",
        _begins("AllTraffic/"),
    ),
    Fact(
        "failure-reason",
        "FailureReason of a container that never answers",
        "did not pass the ping health check",
        _has("did not pass the ping health check"),
    ),
    Fact("failure-time", "Time until it is Failed, with a limit of 60 s", "4 to 24 minutes"),
    Fact(
        "failure-logs",
        "Log streams of a container that fails",
        "AllTraffic/i-…, with DescribeLogStreams granted",
        _begins("AllTraffic/"),
    ),
    Fact(
        "delete-delay",
        "Time from close and drain to the delete that SageMaker accepted",
        "a second, and the time of a few calls",
        _at_most(5),
    ),
    Fact("put-rate", "PutParameter, 15 calls at once", "3 a second from memory"),
    Fact(
        "price",
        "An hour of ml.g5.24xlarge in the Price List",
        "10.18 dollars (1.25 times that of EC2)",
        _begins(r"10\.18$"),
    ),
    Fact(
        "stream-minutes",
        "Longest streamed answer",
        "8 minutes from memory; a run would take a streaming container",
    ),
    Fact(
        "creating-billed",
        "Is Creating billed?",
        "sources contradict; Cost Explorer has it after a day, by the tag of the run",
    ),
    Fact(
        "stack-tag",
        "Tags of an endpoint that CloudFormation created",
        "aws:cloudformation:stack-name among them, by which the doctor finds orphaned queues",
        _has("aws:cloudformation:stack-name"),
    ),
    Fact(
        "fill",
        "Does FILL(m, 0) give 0 where the metric m never had data?",
        "1: it does, and the alarm on idling acts on a queue without any prompt",
        _begins("1"),
    ),
    Fact(
        "retain-at-zero",
        "Does an update with RetainAllVariantProperties keep an endpoint at 0 instances?",
        "yes by its description; a run would take an update of a queue that is at zero",
    ),
    Fact(
        "schedule-retries",
        "Does EventBridge Scheduler retry a universal target after an error 4xx?",
        "yes from memory, up to its retry policy; the schedules repeat in any case",
    ),
    Fact(
        "guard",
        "Does EventBridge Scheduler delete an endpoint by a universal target?",
        "yes from memory; the run ends before its schedule",
    ),
)


def verdicts(seen: Mapping[str, str]) -> dict[str, Verdict]:
    """Return the verdict on every assumption."""
    return {fact.key: fact.verdict(seen.get(fact.key)) for fact in FACTS}
