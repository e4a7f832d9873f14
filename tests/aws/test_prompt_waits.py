"""`Prefer: wait=N` on AWS: a prompt is held while its endpoint starts, on a wound clock."""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from parkmeter.aws.api_events import Answer, answer
from parkmeter.aws.inference import forward_to_control
from parkmeter.aws.prompt import Inference
from parkmeter.core.meter import Meter, Phase, Run
from parkmeter.web.routes import Route
from tests.support.wound_sagemaker import Wound

ADA = {"id": "a1", "name": "ada", "scopes": "invoke,top-up", "endpoints": "*"}


@dataclass
class Story:
    """One endpoint; `events` happen that many seconds after noon, whatever is waiting then."""

    clock: Wound
    meter: Meter
    events: dict[int, Callable[[], None]] = field(default_factory=dict)
    reads: int = 0
    given: list[float] = field(default_factory=list)
    asked_at: list[datetime] = field(default_factory=list)
    wake: Callable[..., Answer | None] | None = None

    def read(self) -> Meter:
        self.reads += 1
        return self.meter

    def pause(self, seconds: float) -> None:
        assert 0 < seconds <= 1
        self.clock.wind(seconds=seconds)
        for at in [at for at in self.events if at <= self.waited()]:
            self.events.pop(at)()

    def runtime(self, seconds: float) -> "Story":
        self.given.append(seconds)
        return self

    def invoke_endpoint(self, **_request: Any) -> dict[str, Any]:
        self.asked_at.append(self.clock.time)
        return {"Body": io.BytesIO(b'{"said": 1}'), "ContentType": "application/json"}

    def opens(self, minutes: float = 10) -> None:
        until = self.clock.time + timedelta(minutes=minutes)
        run = Run(phase=Phase.STARTING, started_at=self.clock.time)
        now = self.clock.time
        self.meter = replace(self.meter, expires_at=until, opened_at=now, run=run, settled=False)

    def serves(self) -> None:
        run = replace(self.meter.run, phase=Phase.READY, ready_at=self.clock.time, address="there")
        self.meter = replace(self.meter, run=run)

    def closes(self) -> None:
        self.meter = replace(self.meter, expires_at=self.clock.time, run=Run())

    def prompt(self, prefer: str | None = None) -> Answer:
        function = Inference(
            "flan-t5",
            self.read,
            lambda _meter: Route("flan-t5", "flan", wakes=self.wake is not None),
            self,
            self.clock.now,
            self.wake,
            hurried=self.runtime,
            pause=self.pause,
        )
        headers = {"Host": "x.test"} | ({} if prefer is None else {"Prefer": prefer})
        context = {"stage": "prod", "path": "/prod/flan", "authorizer": ADA}
        return function.answer(
            {"path": "/flan", "headers": headers, "requestContext": context, "body": "{}"}
        )

    def waited(self) -> float:
        return (self.clock.time - NOON).total_seconds()


NOON = Wound().time


@pytest.fixture
def story(clock: Wound) -> Story:
    return Story(clock, Meter("flan-t5"))


def code(said: Answer) -> str:
    return json.loads(base64.b64decode(said["body"]))["code"]


def test_a_prompt_that_waits_is_answered_once_the_endpoint_serves(story: Story) -> None:
    story.opens()
    story.events = {7: story.serves}
    said = story.prompt("wait=60")
    assert said["statusCode"] == 200
    assert said["headers"]["Preference-Applied"] == "wait=20"
    assert story.waited() == 7
    assert story.reads == 8  # once a second


def test_the_model_has_what_the_waiting_left(story: Story) -> None:
    story.opens()
    story.events = {18: story.serves}
    assert story.prompt("wait=60")["statusCode"] == 200
    assert story.given == [9]


def test_who_did_not_wait_finds_the_whole_patience(story: Story) -> None:
    story.opens()
    story.serves()
    said = story.prompt("wait=60")
    assert (said["statusCode"], story.given, story.reads) == (200, [], 1)
    assert said["headers"]["Preference-Applied"] == "wait=20"


def test_the_time_that_was_asked_for_is_kept_and_so_is_the_longest(story: Story) -> None:
    story.opens()
    said = story.prompt("respond-async, wait=3")
    assert (said["statusCode"], story.waited()) == (503, 3)
    assert said["headers"]["Preference-Applied"] == "wait=3"
    assert said["headers"]["Retry-After"] == "5"
    assert story.prompt("wait=9999")["statusCode"] == 503
    assert story.waited() == 23


@pytest.mark.parametrize("prefer", [None, "wait=0", "wait=soon", "return=minimal"])
def test_who_does_not_wish_to_wait_is_told_at_once(story: Story, prefer: str | None) -> None:
    story.opens()
    said = story.prompt(prefer)
    assert (said["statusCode"], story.waited()) == (503, 0)
    assert said["headers"].get("Preference-Applied") == ("wait=0" if prefer == "wait=0" else None)


def test_a_meter_that_closes_meanwhile_is_a_402(story: Story) -> None:
    story.opens()
    story.events = {4: story.closes}
    said = story.prompt("wait=60")
    assert (said["statusCode"], code(said), story.waited()) == (402, "meter_closed", 4)


def test_a_meter_that_runs_out_meanwhile_is_a_402_without_another_line(story: Story) -> None:
    story.opens(minutes=0.1)
    said = story.prompt("wait=60")
    assert (said["statusCode"], story.waited()) == (402, 6)


def test_a_closed_meter_is_not_waited_for(story: Story) -> None:
    said = story.prompt("wait=60")
    assert (said["statusCode"], story.waited()) == (402, 0)
    assert said["headers"]["Preference-Applied"] == "wait=20"


# ── Waking ──────────────────────────────────────────────────────────────────────────────────────


def woken(story: Story, status: int = 503) -> Callable[..., Answer]:
    """Return control's answer after two seconds, having opened the meter."""

    def wake(_token: object, _event: object) -> Answer:
        story.clock.wind(seconds=2)
        story.opens()
        return answer(status, b'{"code": "from control"}', {"Retry-After": "5"})

    return wake


def test_who_wakes_an_endpoint_by_control_may_wait_too(story: Story) -> None:
    story.wake = woken(story)
    story.events = {10: story.serves}
    said = story.prompt("wait=15")
    assert (said["statusCode"], story.waited(), story.given) == (200, 10, [17])


def test_a_model_is_asked_even_if_the_waking_took_all_the_time(story: Story) -> None:
    def wake(_token: object, _event: object) -> Answer:
        story.clock.wind(seconds=30)
        story.opens()
        story.serves()
        return answer(503, b'{"code": "from control"}', {})

    story.wake = wake
    assert (story.prompt("wait=15")["statusCode"], story.given) == (200, [1])


def test_who_wakes_it_in_control_itself_may_wait_too(story: Story) -> None:
    def wake(_token: object, _event: object) -> None:
        story.opens()

    story.wake = wake
    story.events = {10: story.serves}
    assert story.prompt("wait=15")["statusCode"] == 200


def test_who_wakes_and_does_not_wait_has_what_control_says(story: Story) -> None:
    story.wake = woken(story)
    assert code(story.prompt()) == "from control"
    assert story.waited() == 2


def test_what_control_answered_otherwise_is_not_asked_again(story: Story) -> None:
    story.wake = woken(story, 200)
    said = story.prompt("wait=15")
    assert (said["statusCode"], story.asked_at) == (200, [])
    assert said["headers"]["Preference-Applied"] == "wait=15"


def test_what_could_not_be_woken_is_not_waited_for(story: Story) -> None:
    story.wake = lambda *_asked: answer(503, b'{"code": "store_busy"}', {})
    said = story.prompt("wait=15")
    assert (code(said), story.waited()) == ("store_busy", 0)


def test_control_is_not_asked_to_wait() -> None:
    asked: list[dict[str, Any]] = []

    class Functions:
        def invoke(self, **request: Any) -> dict[str, Any]:
            asked.append(json.loads(request["Payload"]))
            return {"Payload": io.BytesIO(b'{"statusCode": 503}')}

    event = {
        "path": "/flan",
        "headers": {"prefer": "wait=20", "Host": "x.test"},
        "multiValueHeaders": {"Prefer": ["wait=20"], "Host": ["x.test"]},
        "requestContext": {"path": "/prod/flan"},
    }
    assert forward_to_control(Functions(), "control", "flan-t5", event) == {"statusCode": 503}
    assert asked[0]["headers"] == {"Host": "x.test"}
    assert asked[0]["multiValueHeaders"] == {"Host": ["x.test"]}
    assert event["headers"] == {"prefer": "wait=20", "Host": "x.test"}
