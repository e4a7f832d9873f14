"""Prompts on AWS: API Gateway's events in, over a meter on moto and a model on the simulator."""

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from parkmeter.aws import definitions, inference
from parkmeter.aws.definitions import Definition, RememberedDefinition
from parkmeter.aws.last_use import UseNote
from parkmeter.aws.prompt import PATIENCE, Inference
from parkmeter.core.meter import Meter, Phase, Run
from simulator.deployment import Deployed, deployed
from simulator.sagemaker import refusals
from simulator.sagemaker.account import ACCOUNT
from simulator.sagemaker.simulator import SageMakerSimulator
from tests.support.wound_sagemaker import Wound

TOKEN = {"id": "t1", "name": "laptop", "scopes": "invoke,top-up", "endpoints": "*"}


@dataclass
class Said:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Prompts:
    deployment: Deployed
    sagemaker: SageMakerSimulator
    clock: Wound
    function: Inference

    def put_meter(self, minutes: float = 10, **run: Any) -> Meter:
        """With `minutes` left, and the endpoint ready unless told otherwise."""
        run = {"phase": Phase.READY, "address": "parkmeter-flan-t5"} | run
        present = self.deployment.store.load("flan-t5")
        meter = replace(
            present,
            expires_at=self.clock.now() + timedelta(minutes=minutes),
            opened_at=self.clock.now() - timedelta(minutes=1),
            settled=False,
            run=Run(**run),
        )
        return self.deployment.store.commit(meter, [])

    def serve(self) -> None:
        """Endpoint in service, meter open."""
        self.sagemaker.client().create_endpoint(
            EndpointName="parkmeter-flan-t5", EndpointConfigName="on-a10g"
        )
        self.clock.wind(hours=1)
        self.put_meter()

    def prompt(
        self,
        body: bytes | dict[str, Any] = b"{}",
        *,
        token: dict[str, str] | None = TOKEN,
        plain: bool = False,
        **headers: str,
    ) -> Said:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        context: dict[str, Any] = {"stage": "prod", "path": "/prod/flan"}
        if token is not None:
            context["authorizer"] = token
        event = {
            "httpMethod": "POST",
            "path": "/flan",
            "headers": {
                "Host": "abc.execute-api.us-east-1.amazonaws.com",
                "X-Forwarded-Proto": "https",
                "Authorization": "a secret",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
            "requestContext": context,
            "body": raw.decode() if plain else base64.b64encode(raw).decode(),
            "isBase64Encoded": not plain,
        }
        answer = self.function.answer(event)
        assert answer["isBase64Encoded"]
        said = Said(answer["statusCode"], answer["headers"], base64.b64decode(answer["body"]))
        if said.status >= 400:
            assert ACCOUNT.encode() not in said.body
            assert b"arn:" not in said.body
        return said

    @property
    def invocations(self) -> int:
        calls = self.sagemaker.account.calls
        return sum(call.operation == "InvokeEndpoint" for call in calls)


@pytest.fixture
def prompts(
    moto: str, sagemaker: SageMakerSimulator, clock: Wound, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Prompts]:
    with deployed(moto, monkeypatch.setenv) as deployment:
        deployment.define()
        for name in ("AWS_ENDPOINT_URL_SAGEMAKER", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"):
            monkeypatch.setenv(name, sagemaker.url)
        inference.inference.cache_clear()
        function = replace(inference.inference(), now=clock.now)
        yield Prompts(deployment, sagemaker, clock, function)
        function.runtime.close()
        inference.inference.cache_clear()


def test_an_open_meter_lets_the_models_own_answer_through(prompts: Prompts) -> None:
    prompts.serve()
    said = prompts.prompt({"text_inputs": "hi"}, Content_Type="application/json")
    assert said.status == 200
    assert said.headers["Content-Type"] == "application/json"
    assert said.document["generated_texts"] == ["a canned answer"]
    assert said.headers["Parkmeter-Seconds-Left"] == "600"
    assert said.headers["Parkmeter-Expires-At"] == "2026-06-22T13:10:00Z"


def test_body_and_types_reach_the_model_untouched(prompts: Prompts) -> None:
    prompts.serve()
    for plain in (False, True):
        seen = prompts.prompt(
            '{"text_inputs":  "Grüße"} '.encode(), plain=plain, Content_Type="text/x", Accept="a/b"
        ).document["seen"]
        assert seen["body"] == '{"text_inputs":  "Grüße"} '
        assert (seen["content_type"], seen["accept"]) == ("text/x", "a/b")


class PageRuntime:
    """A runtime whose model answers with a page; it keeps what it was called with."""

    def __init__(self) -> None:
        self.arguments: dict[str, Any] = {}

    def invoke_endpoint(self, **arguments: Any) -> dict[str, Any]:
        self.arguments = arguments
        return {"Body": io.BytesIO(b"<script></script>"), "ContentType": "text/html; charset=utf-8"}


def test_no_cookie_and_no_report_of_a_proxy_reaches_the_model(prompts: Prompts) -> None:
    prompts.serve()
    runtime = PageRuntime()
    prompts.function = replace(prompts.function, runtime=runtime)
    headers = {"Cookie": "secret", "X-Real-IP": "secret", "Forwarded": "for=secret"}
    assert prompts.prompt(Content_Type="a/b", **headers).status == 200
    assert set(runtime.arguments) == {"EndpointName", "Body", "ContentType"}
    assert "secret" not in str(runtime.arguments)


def test_a_page_of_a_model_runs_nothing_in_the_gateway_s_origin(prompts: Prompts) -> None:
    prompts.serve()
    assert "Content-Security-Policy" not in prompts.prompt(Content_Type="application/json").headers
    prompts.function = replace(prompts.function, runtime=PageRuntime())
    said = prompts.prompt()
    assert said.headers["Content-Type"] == "text/html; charset=utf-8"
    assert said.headers["X-Content-Type-Options"] == "nosniff"
    assert said.headers["Content-Security-Policy"] == "sandbox"
    assert said.body == b"<script></script>"


def test_what_the_model_itself_refuses_comes_with_its_own_status_and_body(
    prompts: Prompts,
) -> None:
    prompts.serve()
    for status in (400, 429, 500):
        said = prompts.prompt({"answer_with": status})
        assert said.status == status
        assert said.document == {"error": "as requested"}
        assert said.headers["Content-Type"] == "application/json"
        assert "Parkmeter-Seconds-Left" in said.headers


def test_a_meter_that_was_never_topped_up_is_closed(prompts: Prompts) -> None:
    said = prompts.prompt()
    assert said.status == 402
    assert said.document["code"] == "meter_closed"


@pytest.mark.parametrize(("scopes", "hints"), [("invoke", 1), ("invoke,top-up", 0)])
def test_a_closed_meter_says_whether_this_token_opens_it(
    prompts: Prompts, scopes: str, hints: int
) -> None:
    said = prompts.prompt(token=TOKEN | {"scopes": scopes})
    assert said.status == 402
    assert said.document["detail"].count("a token that has the scope") == hints


def test_a_closed_meter_names_the_price_and_the_exact_call(prompts: Prompts) -> None:
    prompts.serve()
    prompts.put_meter(minutes=0)
    said = prompts.prompt()
    assert said.status == 402
    assert said.headers["Content-Type"] == "application/problem+json"
    assert said.headers["Parkmeter-Seconds-Left"] == "0"
    assert said.document["price_per_hour"] == 7.09
    call = said.document["top_up"]
    base = "https://abc.execute-api.us-east-1.amazonaws.com/prod"
    assert call["url"] == f"{base}/endpoints/flan-t5/top-ups"
    assert call["body"] == {"minutes": 30}
    assert said.document["message"] == said.document["error"]["message"]
    assert said.document["message"].endswith(call["curl"])
    assert prompts.invocations == 0


def test_while_it_still_stops_the_price_told_is_that_of_the_type_that_ran(prompts: Prompts) -> None:
    prompts.put_meter(minutes=0, phase=Phase.STOPPING, variant="ml.p4d.24xlarge")
    assert prompts.prompt().document["price_per_hour"] == 37.69


def test_without_a_readable_definition_a_closed_meter_is_closed_all_the_same(
    prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definitions, "REMEMBER_SECONDS", 0.0)
    for value in ("no JSON", '{"price_per_hour": "much"}'):
        prompts.deployment.put("flan-t5", value)
        said = prompts.prompt()
        assert said.status == 402
        assert said.document["price_per_hour"] is None


def test_refused_prompts_without_end_read_no_parameter_each(
    prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def count(ssm: Any, path: str, name: str) -> Definition:
        read.append(name)
        return definitions.definition(ssm, path, name)

    monkeypatch.setattr(inference, "definition", count)
    for _ in range(5):
        said = prompts.prompt()
        assert (said.status, said.document["price_per_hour"]) == (402, 7.09)
    assert read == ["flan-t5"]


def test_a_definition_is_read_once_a_minute_also_while_it_cannot_be_read(prompts: Prompts) -> None:
    seconds, reads = 0.0, 0

    def read() -> Definition:
        nonlocal reads
        reads += 1
        if reads in {1, 3}:
            raise EndpointConnectionError(endpoint_url="ssm")
        return definitions.definition(prompts.deployment.ssm, prompts.deployment.path, "flan-t5")

    remembered = RememberedDefinition(read, lambda: seconds)
    for moment, expected, known in ((0, 1, 0), (59, 1, 0), (60, 2, 1), (61, 2, 1), (120, 3, 1)):
        seconds = float(moment)
        assert (remembered() is not None) == bool(known)
        assert reads == expected


def test_an_endpoint_that_starts_says_so_and_when_to_ask_again(prompts: Prompts) -> None:
    prompts.put_meter(phase=Phase.STARTING, reason="starting on ml.g5.12xlarge", address=None)
    said = prompts.prompt()
    assert said.status == 503
    assert said.headers["Retry-After"] == "5"
    assert "starting on ml.g5.12xlarge" in said.document["detail"]
    assert "Prefer" not in said.document["detail"]
    assert said.document["status_shown"] == "starting"
    assert prompts.invocations == 0


def test_an_endpoint_that_failed_says_why_and_when_it_is_tried_again(prompts: Prompts) -> None:
    prompts.put_meter(phase=Phase.FAILED, reason="no capacity", address=None)
    said = prompts.prompt()
    assert said.status == 503
    assert "no capacity" in said.document["detail"]
    assert "Retry-After" not in said.headers
    next_try = prompts.clock.now() + timedelta(seconds=40)
    prompts.put_meter(phase=Phase.FAILED, reason="no capacity", address=None, next_try=next_try)
    assert prompts.prompt().headers["Retry-After"] == "40"


def test_what_the_runtime_does_not_find_is_starting(prompts: Prompts) -> None:
    prompts.put_meter()
    said = prompts.prompt()
    assert said.status == 503
    assert said.headers["Retry-After"] == "5"
    assert said.document["status_shown"] == "starting"


def test_a_model_that_is_not_ready_is_starting(prompts: Prompts) -> None:
    prompts.serve()
    prompts.sagemaker.faults.refuse("InvokeEndpoint", refusals.model_not_ready())
    assert prompts.prompt().status == 503


def test_whatever_else_sagemaker_refuses_is_a_bad_gateway(prompts: Prompts) -> None:
    prompts.serve()
    denied = refusals.denied(
        f"arn:aws:sts::{ACCOUNT}:assumed-role/x", "InvokeEndpoint", f"arn:aws:x:{ACCOUNT}:y"
    )
    for refusal in (denied, refusals.unavailable(), refusals.throttled()):
        prompts.sagemaker.faults.refuse("InvokeEndpoint", refusal)
        said = prompts.prompt()
        assert said.status == 502
        assert said.document["code"] == "upstream_unreachable"


def test_a_prompt_whose_answer_is_lost_is_not_sent_again(prompts: Prompts) -> None:
    prompts.serve()
    prompts.sagemaker.faults.lose_answers("InvokeEndpoint")
    assert prompts.prompt().status == 502
    assert prompts.invocations == 1


def test_a_model_that_takes_too_long_for_sagemaker_is_a_time_out(prompts: Prompts) -> None:
    prompts.serve()
    late = refusals.model_error(0, refusals.TIMED_OUT, "parkmeter-flan-t5", ("us-east-1", ACCOUNT))
    prompts.sagemaker.faults.refuse("InvokeEndpoint", late)
    said = prompts.prompt()
    assert said.status == 504
    assert said.document["code"] == "upstream_timeout"


def test_a_model_that_takes_too_long_for_us_is_a_time_out(prompts: Prompts) -> None:
    prompts.serve()
    impatient = prompts.sagemaker.client(
        "sagemaker-runtime", PATIENCE.merge(Config(read_timeout=0.2))
    )
    prompts.function = replace(prompts.function, runtime=impatient)
    with prompts.sagemaker.account.lock:
        said = prompts.prompt()
    assert said.status == 504


def test_it_waits_less_long_than_api_gateway_and_asks_once(prompts: Prompts) -> None:
    config = prompts.function.runtime.meta.config
    assert config.connect_timeout + config.read_timeout < 29
    assert config.retries["total_max_attempts"] == 1


def test_a_body_over_four_megabytes_is_refused_before_the_model_sees_it(prompts: Prompts) -> None:
    prompts.serve()
    assert prompts.prompt(b"x" * 4 * 2**20).status == 200
    said = prompts.prompt(b"x" * (4 * 2**20 + 1))
    assert said.status == 413
    assert said.document["limit_bytes"] == 4 * 2**20
    assert prompts.invocations == 1


def test_types_that_no_header_can_hold_are_refused(prompts: Prompts) -> None:
    prompts.serve()
    for value in ("a/b\nX: y", "ä", "x" * 1025):
        said = prompts.prompt(Content_Type=value)
        assert said.status == 400
        assert said.document["field"] == "Content-Type"


def test_without_the_scope_invoke_the_scope_is_named(prompts: Prompts) -> None:
    prompts.serve()
    said = prompts.prompt(token=TOKEN | {"scopes": "top-up"})
    assert said.status == 403
    assert said.document["scope"] == "invoke"


def test_a_token_for_other_endpoints_is_refused(prompts: Prompts) -> None:
    prompts.serve()
    assert prompts.prompt(token=TOKEN | {"endpoints": "phi,falcon"}).status == 403
    assert prompts.prompt(token=TOKEN | {"endpoints": ""}).status == 403
    assert prompts.prompt(token=TOKEN | {"endpoints": "phi,flan-t5"}).status == 200


def test_without_an_authorizers_word_nobody_is_let_in(prompts: Prompts) -> None:
    prompts.serve()
    assert prompts.prompt(token=None).status == 401
    assert prompts.prompt(token={}).status == 401


def test_a_store_that_fails_is_a_fault_without_details(prompts: Prompts) -> None:
    prompts.deployment.dynamodb.delete_table(TableName=prompts.deployment.tables.meters)
    said = prompts.prompt()
    assert said.status == 500
    assert said.document["code"] == "internal"


def test_that_it_is_used_is_noted_once_a_minute(prompts: Prompts) -> None:
    prompts.serve()
    writes = []

    class Table:
        def put_item(self, **request: Any) -> None:
            writes.append(request["Item"]["pk"]["S"])

    prompts.function = replace(prompts.function, used=UseNote(Table(), "meters", "flan-t5").take)
    for _ in range(3):
        assert prompts.prompt().status == 200
        prompts.clock.wind(seconds=30)
    assert writes == ["use#flan-t5"] * 2


def test_the_handler_answers_from_its_environment(prompts: Prompts) -> None:
    event = {"headers": None, "requestContext": {"authorizer": TOKEN}, "body": None}
    assert inference.handler(event, None)["statusCode"] == 402


def test_it_starts_without_any_web_framework() -> None:
    code = (
        "import sys, parkmeter.aws.inference;"
        "print([name for name in ('fastapi', 'starlette', 'pydantic') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert said.stdout.strip() == "[]"
