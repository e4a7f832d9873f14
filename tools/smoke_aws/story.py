"""The steps of a run: deploy as the original README does, use, break, let expire, remove.

Each step proves something or raises; what it sees of AWS on the way is noted as a fact.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws.doctor.account import Account
from parkmeter.aws.doctor.examine import examine
from parkmeter.core.finding import Finding
from simulator.cdk_command import CdkError
from tools.smoke_aws import artifact
from tools.smoke_aws.api import Answer, Api
from tools.smoke_aws.aws_calls import Inbox
from tools.smoke_aws.cdk import Cdk
from tools.smoke_aws.cleanup import Log, remember_retained
from tools.smoke_aws.probes import Probes
from tools.smoke_aws.report import Step
from tools.smoke_aws.run import BROKEN, FLAN, Run, now

POLL = 1.0
"""Seconds between looks."""

DRAIN = timedelta(seconds=5)
EXPIRES_IN = timedelta(seconds=20)
EXPIRY = f"/endpoint-expiry?EndpointName={FLAN}"
FORMAT = "%d-%m-%Y-%H-%M-%S"

PROMPT = {
    "text_inputs": "write a story about beautiful weather on a tropical island.",
    "max_length": 50,
    "temperature": 0.0,
    "seed": 321,
}
FAILING = {"text_inputs": "this one fails", "answer_with": 500}

_STACKS = (
    "APIStack",
    "FlanT5LambdaStack",
    "BrokenLambdaStack",
    "FlanT5AsyncStack",
    "EndpointManagerStack",
    "FlanT5MeteredStack",
    "BrokenMeteredStack",
)


class StoryError(Exception):
    """Raised when a step does not prove what it should."""


@dataclass
class Story:
    """A run's steps."""

    run: Run
    log: Log
    cdk: Cdk
    steps: list[Step] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._probes = Probes(self.run)
        self._sagemaker = self.run.client("sagemaker")

    @property
    def facts(self) -> dict[str, str]:
        """Return what was seen of AWS, by the keys of `facts.FACTS`."""
        return self._probes.facts

    def tell(self) -> None:
        """Take all steps; stop at the first that fails.

        Raises:
            StoryError: a step failed; `steps` has it.

        """
        with ThreadPoolExecutor(1) as beside:
            self._step("cdk bootstrap", self._bootstrap)
            self._step("cdk synth", self._synth)
            self._step("cdk deploy ProbeStack", self._deploy_probes)
            queue = beside.submit(self.cdk.deploy, "FlanT5AsyncStack")
            try:
                self._deploy_and_use()
                self._step("cdk deploy FlanT5AsyncStack", lambda: _result(queue))
                self._step("an async job, and one that fails", self._async)
                self._step("an endpoint that fails to start", self._broken)
                self._step("what EventBridge said", lambda: self._probes.events(self._inbox))
                self._step("cdk destroy", self._destroy, late=True)
            finally:
                queue.cancel()
                self.cdk.end()

    def _deploy_and_use(self) -> None:
        for stack in ("FlanT5MeteredStack", "EndpointManagerStack"):
            self._step(f"cdk deploy {stack}", partial(self._deploy, stack))
        self._step("refusals while the endpoint is created", self._while_creating)
        for stack in ("FlanT5LambdaStack", "APIStack"):
            self._step(f"cdk deploy {stack}", partial(self._deploy, stack))
        self._step("a pass code, then GET /endpoint-expiry", self._first_call)
        self._step("a start that will fail", self._start_broken)
        self._step("errors of the gateway", self._gateway_errors)
        self._step("POST /endpoint-expiry: ten minutes more", self._top_up)
        self._step("the endpoint is running", lambda: self._until_status(FLAN, "running"))
        self._step("POST /flan: a prompt", self._prompt)
        self._step("a prompt that fails", self._failing_prompt)
        self._step("refusals at run time", self._probes.at_runtime)
        self._step("container logs", self._logs)
        self._step("parkmeter doctor --aws", self._doctor)
        self._step("limits and prices", self._probes.limits)
        self._step("a metric without data", self._probes.fill)
        self._step("the meter expires, the endpoint is deleted", self._expiry)

    # ── Deploying ────────────────────────────────────────────────────────────────────────────────

    def _bootstrap(self) -> str:
        self.cdk.bootstrap()
        artifact.upload(self.run)
        return ""

    def _synth(self) -> str:
        self.cdk.synth()
        return ""

    def _deploy_probes(self) -> str:
        self.cdk.deploy("ProbeStack")
        self._inbox = Inbox(self.run)
        return "a queue for events, and the guard's schedules"

    def _deploy(self, stack: str) -> str:
        self.cdk.deploy(stack)
        self.run = remember_retained(self.run)
        return ""

    def _destroy(self) -> str:
        self.cdk.destroy(*_STACKS)
        self._inbox.empty()
        self.cdk.destroy("ProbeStack")
        return ""

    # ── The original's commands ──────────────────────────────────────────────────────────────────

    def _first_call(self) -> str:
        self._api = Api(self.run, self.log)
        self._api.put_token()
        # The name of a new API takes a moment to be known.
        answer = self._until(self._answered)
        _expect("EndpointExpiry " in answer.document, answer)
        return answer.text

    def _answered(self) -> Answer | None:
        try:
            answer = self._api.get(EXPIRY)
        except OSError:
            return None
        return answer if answer.status == 200 else None

    def _top_up(self) -> str:
        before = _expiry(self._api.get(EXPIRY).document)
        answer = self._api.post("/endpoint-expiry", {"EndpointName": FLAN, "minutes": 10})
        _expect(answer.status == 200, answer)
        added = _expiry(answer.document) - before
        _expect(timedelta(minutes=9) < added < timedelta(minutes=11), added)
        return answer.text

    def _prompt(self) -> str:
        answer = self._api.post("/flan", PROMPT)
        _expect(answer.status == 200 and len(answer.document["generated_texts"]) == 1, answer)
        return answer.text

    def _failing_prompt(self) -> str:
        answer = self._api.post("/flan", FAILING)
        _expect(400 <= answer.status < 600 and answer.status not in {401, 402, 403}, answer)
        return f"{answer.status} {answer.content_type}"

    def _gateway_errors(self) -> str:
        answers = {
            401: self._api.curl("/endpoint-expiry", token=None),
            403: self._api.curl("/endpoint-expiry", token="not a pass code"),  # noqa: S106
        }
        for status, answer in answers.items():
            _expect(answer.status == status and answer.document["code"], answer)
        self.facts["gateway-type"] = ", ".join(sorted({a.content_type for a in answers.values()}))
        return ", ".join(f"{status} {a.document['code']}" for status, a in answers.items())

    # ── What the endpoint does ───────────────────────────────────────────────────────────────────

    def _while_creating(self) -> str:
        self._until(lambda: self._status(FLAN) is not None)
        found = self._sagemaker.describe_endpoint(EndpointName=self.run.endpoint(FLAN))
        return self._probes.while_creating(found)

    def _logs(self) -> str:
        return self._probes.log_streams("log-streams", FLAN)

    def _doctor(self) -> str:
        self.findings = examine(Account(self.run.region), self.run.prefix, now())
        _expect(any(one.what == "deployment" for one in self.findings), self.findings)
        return f"{len(self.findings)} findings, see below"

    def _expiry(self) -> str:
        close = (now() + EXPIRES_IN).replace(microsecond=0)
        parameter = f"/{self.run.prefix}/expiry/{FLAN}"
        self.run.client("ssm").put_parameter(
            Name=parameter, Value=f"{close:{FORMAT}}", Type="String", Overwrite=True
        )
        deleting = self._until(lambda: self._deleting(FLAN), pause=0.2)
        late = (deleting - (close + DRAIN)).total_seconds()
        self._probes.facts["delete-delay"] = f"{late:.1f} s"
        if self._status(FLAN) == "Deleting":
            name = self.run.endpoint(FLAN)
            self._probes.refused(
                "delete-deleting", "sagemaker", "delete_endpoint", EndpointName=name
            )
        self._until(lambda: self._status(FLAN) is None)
        answer = self._api.post("/flan", PROMPT)
        _expect(answer.status == 402 and answer.document["code"] == "meter_closed", answer)
        return f"deleted {late:.1f} s after close and drain; then prompts get 402"

    def _async(self) -> str:
        for outcome in ("succeeded", "failed"):
            topic = f"{self.run.endpoint(FLAN)}-async-{outcome}"
            self._inbox.subscribe(f"{self._topics()}:{topic}")
        self._probes.of_async()
        began = now()
        good = self._job(PROMPT)
        seconds = (now() - began).total_seconds()
        _expect(good.status == 200, good)
        bad = self._job(FAILING)
        _expect(bad.status != 200, bad)
        bucket = f"{self.run.endpoint(FLAN)}-async-{self.run.account}-{self.run.region}"
        self._probes.async_failure(bucket, self._inbox)
        return f"200 after {seconds:.0f} s; the failing one: {bad.status} {bad.text[:200]}"

    def _job(self, body: Any) -> Any:
        answer = self._api.post("/flan-async", body)
        _expect(answer.status == 202, answer)
        path = f"/flan-async/{answer.document['id']}"
        return self._until(lambda: _unless(self._api.get(path), 202))

    def _start_broken(self) -> str:
        answer = self._api.post("/endpoint-expiry", {"EndpointName": BROKEN, "minutes": 3})
        _expect(answer.status == 200, answer)
        return "its container cannot download its model"

    def _broken(self) -> str:
        def failed() -> dict[str, Any] | None:
            self._inbox.empty()
            name = self.run.endpoint(BROKEN)
            details = (one["detail"] for one in self._inbox.events)
            return next(
                (
                    one
                    for one in details
                    if one["EndpointName"] == name and one["EndpointStatus"] == "FAILED"
                ),
                None,
            )

        try:
            reason = self._probes.failure(self._until(failed))
        except StoryError:
            return "not Failed in time; it is deleted as soon as SageMaker permits it"
        answer = self._api.post(f"/endpoints/{BROKEN}/eject", {})
        _expect(answer.status in {200, 409}, answer)
        shown = self._api.get(f"/endpoints/{BROKEN}/journal").text
        _expect("fail" in shown.lower(), shown)
        self._until(lambda: self._status(BROKEN) is None)
        return reason

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────

    def _step(self, title: str, action: Callable[[], str], *, late: bool = False) -> None:
        if now() > self.run.story_ends and not late:
            self.steps.append(Step(title, 0, trouble="not begun: the time is over"))
            raise StoryError(title)
        self.log(f"── {title}")
        began = time.monotonic()
        try:
            seen = action()
        except (StoryError, CdkError, ClientError, BotoCoreError, OSError, KeyError) as error:
            took = time.monotonic() - began
            self.steps.append(Step(title, took, trouble=f"{type(error).__name__}: {error}"))
            self.log(f"   FAILED: {error}")
            raise StoryError(title) from error
        self.steps.append(Step(title, time.monotonic() - began, seen))

    def _until(self, found: Callable[[], Any], pause: float = POLL) -> Any:
        """Return the first true result; wait until the run's end at the longest."""
        deadline = self.run.story_ends + timedelta(minutes=2)
        while not (this := found()):
            if now() > deadline:
                raise StoryError("it did not come about in time")
            time.sleep(pause)
        return this

    def _until_status(self, name: str, status: str) -> str:
        self._until(lambda: self._api.get(f"/endpoints/{name}").document["status"] == status)
        return ""

    def _status(self, name: str) -> str | None:
        try:
            found = self._sagemaker.describe_endpoint(EndpointName=self.run.endpoint(name))
        except ClientError as error:
            if "Could not find endpoint" in str(error):
                return None
            raise
        status: str = found["EndpointStatus"]
        return status

    def _deleting(self, name: str) -> datetime | None:
        """Return when its deletion began; now if it is gone already."""
        try:
            found = self._sagemaker.describe_endpoint(EndpointName=self.run.endpoint(name))
        except ClientError as error:
            if "Could not find endpoint" in str(error):
                return now()
            raise
        if found["EndpointStatus"] != "Deleting":
            return None
        since: datetime = found["LastModifiedTime"]
        return since.astimezone(UTC)

    def _topics(self) -> str:
        return self._inbox.arn.rpartition(":")[0].replace(":sqs:", ":sns:")


def _expect(holds: object, seen: object) -> None:
    if not holds:
        raise StoryError(f"not as expected: {seen}")


def _result(deploying: "Future[None]") -> str:
    deploying.result()
    return "deployed beside the others"


def _unless(answer: Any, status: int) -> Any:
    return None if answer.status == status else answer


def _expiry(document: dict[str, Any]) -> datetime:
    return datetime.strptime(document["EndpointExpiry"], FORMAT).replace(tzinfo=UTC)
