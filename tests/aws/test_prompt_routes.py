"""Prompts that reach control on AWS: by the endpoint's name, and paths SageMaker does not have."""

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from parkmeter.aws import control, inference
from parkmeter.aws.last_use import last_use
from parkmeter.aws.prompt import LONGEST_WAIT_SECONDS
from parkmeter.core.meter import NEVER, Phase, Run, remove
from simulator.sagemaker.simulator import SageMakerSimulator
from tests.support.api_gateway import ADA, BOB, Gateway, gateway_to_control
from tests.support.wound_sagemaker import Wound

BY_NAME = "/endpoints/flan-t5/invocations"


@pytest.fixture
def gateway(
    moto: str, sagemaker: SageMakerSimulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Gateway]:
    with gateway_to_control(moto, sagemaker, monkeypatch) as gateway:
        yield gateway


@pytest.fixture
def serving(gateway: Gateway, sagemaker: SageMakerSimulator, clock: Wound) -> Gateway:
    """Endpoint in service, meter open for ten minutes."""
    sagemaker.client().create_endpoint(
        EndpointName="parkmeter-flan-t5", EndpointConfigName="on-a10g"
    )
    clock.wind(hours=1)
    store, now = gateway.deployment.store, datetime.now(UTC)
    meter = replace(
        store.load("flan-t5"),
        expires_at=now + timedelta(minutes=10),
        opened_at=now,
        settled=False,
        run=Run(phase=Phase.READY, address="parkmeter-flan-t5"),
    )
    store.commit(meter, [])
    return gateway


def test_a_prompt_by_name_gets_the_models_own_answer(serving: Gateway) -> None:
    said = serving.ask("POST", BY_NAME, {"text_inputs": "hi"}, by=BOB, Content_Type="text/x")
    assert said.status == 200
    assert said.headers["content-type"] == "application/json"
    assert 580 < int(said.headers["parkmeter-seconds-left"]) < 600
    assert said.document["generated_texts"] == ["a canned answer"]
    assert said.document["seen"]["body"] == '{"text_inputs": "hi"}'
    assert said.document["seen"]["content_type"] == "text/x"


def test_a_prompt_by_name_is_use_of_an_endpoint_that_may_be_idle(serving: Gateway) -> None:
    deployment = serving.deployment
    used_until = last_use(deployment.dynamodb, deployment.tables.meters)
    deployment.define(idle_minutes=5)
    before = datetime.now(UTC)
    assert serving.ask("POST", "/endpoints/falcon/invocations", {}).status == 404
    assert used_until("flan-t5") == NEVER
    assert serving.ask("POST", BY_NAME, {}).status == 200
    noted = used_until("flan-t5")
    assert noted is not None
    assert noted > before


def test_where_nobody_is_called_idle_nothing_is_noted(serving: Gateway) -> None:
    deployment = serving.deployment
    assert serving.ask("POST", BY_NAME, {}).status == 200
    assert last_use(deployment.dynamodb, deployment.tables.meters)("flan-t5") == NEVER


def test_what_the_model_itself_refuses_passes(serving: Gateway) -> None:
    said = serving.ask("POST", BY_NAME, {"answer_with": 418})
    assert (said.status, said.document) == (418, {"error": "as requested"})


def test_a_closed_meter_says_how_to_top_it_up(gateway: Gateway) -> None:
    said = gateway.ask("POST", BY_NAME, {})
    assert said.status == 402
    url = "https://abc.execute-api.us-east-1.amazonaws.com/prod/endpoints/flan-t5/top-ups"
    assert said.document["top_up"]["url"] == url
    assert said.document["price_per_hour"] == 7.09


def test_an_endpoint_that_was_removed_asks_for_no_time_as_none_can_be_added(
    serving: Gateway,
) -> None:
    store = serving.deployment.store
    store.commit(remove(store.load("flan-t5"), datetime.now(UTC)), [])
    for path in (BY_NAME, "/flan"):
        said = serving.ask("POST", path, {})
        assert (said.status, said.document["code"]) == (410, "endpoint_removed")


def test_a_prompt_by_name_needs_the_scope_invoke_there(serving: Gateway) -> None:
    for by in (ADA | {"scopes": "admin"}, ADA | {"endpoints": "phi"}):
        assert serving.ask("POST", BY_NAME, {}, by=by).document["scope"] == "invoke"


def test_an_unknown_endpoint_is_named(gateway: Gateway) -> None:
    said = gateway.ask("POST", "/endpoints/falcon/invocations", {})
    assert (said.status, said.document["code"]) == (404, "unknown_endpoint")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_below_a_prompts_path_there_is_nothing_and_it_says_why(
    gateway: Gateway, method: str
) -> None:
    said = gateway.ask(method, "/flan/v1/chat/completions")
    assert (said.status, said.document["code"]) == (404, "path_not_served")
    assert "SageMaker forwards prompts only" in said.document["detail"]
    assert (
        "POST https://abc.execute-api.us-east-1.amazonaws.com/prod/flan."
        in (said.document["detail"])
    )


def test_a_prompts_path_takes_post_and_says_so(gateway: Gateway) -> None:
    said = gateway.ask("GET", "/flan")
    assert (said.status, said.headers["allow"]) == (405, "POST")


def test_other_paths_are_not_found_as_before(gateway: Gateway) -> None:
    assert gateway.ask("GET", "/falcon/v1/models").document["code"] == "not_found"


def test_nothing_on_aws_speaks_of_streaming_or_of_waiting_longer_than_it_can(
    gateway: Gateway,
) -> None:
    text = gateway.ask("GET", "/openapi.json", by=None).body.decode()
    assert "/{api_resource}-async" in text
    for word in ("wait=60", "streamed", "base_url"):
        assert word not in text
    assert f"At most {LONGEST_WAIT_SECONDS}." in text
    waited = gateway.ask("POST", BY_NAME, {}, Prefer="wait=60")
    assert waited.headers["preference-applied"] == f"wait={LONGEST_WAIT_SECONDS}"


# ── Waking ──────────────────────────────────────────────────────────────────────────────────────


def test_a_prompt_to_a_closed_meter_buys_once_and_is_told_when_to_come_again(
    gateway: Gateway,
) -> None:
    gateway.deployment.define(wake_minutes=20)
    answers = [gateway.ask("POST", BY_NAME, {}, by=ADA) for _ in range(3)]
    assert [said.status for said in answers] == [503] * 3
    assert answers[0].headers["retry-after"] == "5"
    store = gateway.deployment.store
    (bought,) = store.journal("flan-t5", 10)
    assert (bought.who, bought.amount) == ("ada", timedelta(minutes=20))


def test_who_may_not_top_up_wakes_nobody_on_aws_either(gateway: Gateway) -> None:
    gateway.deployment.define(wake_minutes=20)
    assert gateway.ask("POST", BY_NAME, {}, by=BOB).status == 402
    assert gateway.deployment.store.journal("flan-t5", 10) == []


def test_a_budget_that_is_used_up_is_told(gateway: Gateway) -> None:
    gateway.deployment.define(wake_minutes=20)
    said = gateway.ask("POST", BY_NAME, {}, by=ADA | {"minutes_per_day": "10.0"})
    assert (said.status, said.document["code"]) == (429, "over_budget")


class Functions:
    """Lambda's client, with control behind it; `broken`: it fails without an answer."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken

    def invoke(self, **request: Any) -> dict[str, Any]:
        if self.broken:
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorMessage": ""}')}
        if not request["FunctionName"].endswith("-control"):
            return {}  # the clock's
        answer = control.handler(json.loads(request["Payload"]), None)
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


def test_the_endpoints_own_function_passes_such_a_prompt_on_to_control(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.deployment.define(wake_minutes=20)
    functions, made = Functions(), boto3.client
    monkeypatch.setattr(
        inference.boto3,
        "client",
        lambda name, **more: functions if name == "lambda" else made(name, **more),
    )
    inference.inference.cache_clear()
    event = {
        "httpMethod": "POST",
        "path": "/flan",
        "headers": {"Host": "abc.execute-api.us-east-1.amazonaws.com"},
        "multiValueHeaders": {"Host": ["abc.execute-api.us-east-1.amazonaws.com"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {"stage": "prod", "path": "/prod/flan", "authorizer": ADA},
        "body": "{}",
        "isBase64Encoded": False,
    }
    said = inference.handler(event, None)
    assert said["statusCode"] == 503
    assert json.loads(base64.b64decode(said["body"]))["code"] == "not_serving"
    assert len(gateway.deployment.store.journal("flan-t5", 10)) == 1
    gateway.ask("POST", "/endpoints/flan-t5/eject")
    functions.broken = True
    said = inference.handler(event, None)
    assert json.loads(base64.b64decode(said["body"]))["code"] == "store_busy"
    inference.inference.cache_clear()
