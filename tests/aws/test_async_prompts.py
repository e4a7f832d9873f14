"""Async prompts on AWS: through control to a bucket on moto and the simulator's queue, and back."""

import http.client
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import urlopen

import boto3
import pytest

from parkmeter.aws.async_inference.errors import KeyBusyError
from parkmeter.aws.async_inference.prompts import AsyncPrompts
from parkmeter.aws.definitions import Queue, definition
from parkmeter.errors import UpstreamError, UpstreamTimeoutError
from simulator.sagemaker import refusals
from simulator.sagemaker.account import ACCOUNT, REGION
from simulator.sagemaker.messages import AsyncJob
from simulator.sagemaker.simulator import SageMakerSimulator
from stacks.names import ASYNC_INPUTS, Names
from tests.support.api_gateway import ADA, BOB, Gateway, Said, gateway_to_control
from tests.support.wound_sagemaker import Wound

BASE = "https://abc.execute-api.us-east-1.amazonaws.com/prod"
LARGEST = 4 * 2**20


@dataclass
class Cloud:
    """Control, the async stack of flan-t5, and the worker of its queue."""

    gateway: Gateway
    sagemaker: SageMakerSimulator
    s3: Any
    bucket: str
    endpoint: str

    def send(self, body: Any = b'{"text_inputs": "hi"}', **more: Any) -> Said:
        return self.gateway.ask("POST", "/flan-async", body, **more)

    def accepted(self, *sent: Any, **more: Any) -> str:
        said = self.send(*sent, **more)
        assert said.status == 202
        return said.document["id"]

    def look(self, prompt_id: str, **more: Any) -> Said:
        return self.gateway.ask("GET", f"/flan-async/{prompt_id}", **more)

    @property
    def jobs(self) -> list[AsyncJob]:
        return self.sagemaker.account.jobs

    def at(self, time: Wound) -> AsyncPrompts:
        """Return the prompts that control uses, with a clock to wind."""
        return AsyncPrompts(self.s3, self.sagemaker.client("sagemaker-runtime"), time.now)

    @property
    def queue(self) -> Queue:
        deployment = self.gateway.deployment
        queue = definition(deployment.ssm, deployment.path, "flan-t5").queue
        assert queue is not None
        return queue

    def run_queue(self) -> None:
        """Do SageMaker's part: input from S3 to the container, its answer to S3."""
        for job in self.jobs:
            body = self._object(job.input_location or "")["Body"].read()
            connection = http.client.HTTPConnection(job.container)
            connection.request("POST", "/invocations", body, job.headers)
            answer = connection.getresponse()
            said, kind = answer.read(), answer.headers["Content-Type"]
            connection.close()
            if answer.status == 200:
                self.put(job.output_location, said, kind)
            else:
                where = (REGION, ACCOUNT)
                error = refusals.model_error(answer.status, said.decode(), job.endpoint, where)
                self.put(job.failure_location, error.message.encode())

    def put(self, address: str, body: bytes, kind: str = "binary/octet-stream") -> None:
        bucket, _, key = address.removeprefix("s3://").partition("/")
        self.s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=kind)

    def _object(self, address: str) -> Any:
        bucket, _, key = address.removeprefix("s3://").partition("/")
        return self.s3.get_object(Bucket=bucket, Key=key)


@pytest.fixture
def bare(
    moto: str, sagemaker: SageMakerSimulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cloud]:
    """Without the async stack."""
    with gateway_to_control(moto, sagemaker, monkeypatch) as gateway:
        prefix = gateway.deployment.path.split("/")[1]
        endpoint = Names(prefix).async_endpoint("flan-t5")
        bucket = Names(prefix).async_bucket("flan-t5", ACCOUNT, REGION)
        one = {"endpoint": endpoint, "bucket": bucket, "stack": "FlanT5AsyncStack"}
        gateway.deployment.define(**{"async": one})
        s3 = boto3.client("s3")
        yield Cloud(gateway, sagemaker, s3, bucket, endpoint)
        s3.close()


@pytest.fixture
def cloud(bare: Cloud, clock: Wound) -> Cloud:
    """With it, its endpoint in service."""
    bare.s3.create_bucket(Bucket=bare.bucket)
    output = {
        "S3OutputPath": f"s3://{bare.bucket}/results",
        "S3FailurePath": f"s3://{bare.bucket}/failures",
    }
    more = {"AsyncInferenceConfig": {"OutputConfig": output}}
    bare.sagemaker.add_config("on-async", "ml.g5.12xlarge", **more)
    bare.sagemaker.client().create_endpoint(
        EndpointName=bare.endpoint, EndpointConfigName="on-async"
    )
    clock.wind(hours=1)
    return bare


def test_a_metered_queue_takes_prompts_while_its_meter_is_open_only(cloud: Cloud) -> None:
    deployment = cloud.gateway.deployment
    queue = {"endpoint": cloud.endpoint, "bucket": cloud.bucket, "stack": "FlanT5AsyncStack"}
    deployment.define(**{"async": queue, "async_metered_instances": 1})
    refused = cloud.send()
    assert refused.status == 402
    assert refused.document["code"] == "meter_closed"
    assert refused.document["top_up"]["url"] == f"{BASE}/endpoints/flan-t5/top-ups"
    assert "a token that has the scope 'top-up'" not in refused.document["detail"]
    assert "a token that has the scope 'top-up'" in cloud.send(by=BOB).document["detail"]
    assert cloud.jobs == []
    added = cloud.gateway.ask("POST", "/endpoints/flan-t5/top-ups", {"minutes": 10})
    assert added.status == 201
    assert cloud.send().status == 202


# ── Sending ──────────────────────────────────────────────────────────────────────────────────────


def test_a_prompt_is_accepted_and_says_where_to_ask(cloud: Cloud) -> None:
    said = cloud.send(by=BOB)
    assert said.status == 202
    prompt_id = said.document["id"]
    assert re.fullmatch(r"[0-9a-f]{32}", prompt_id)
    url = f"{BASE}/flan-async/{prompt_id}"
    assert said.headers["location"] == url
    assert said.document == {"id": prompt_id, "status": "running", "url": url}
    (job,) = cloud.jobs
    assert (job.endpoint, job.inference_id) == (cloud.endpoint, prompt_id)


def test_the_meter_stays_closed_and_is_not_asked(cloud: Cloud) -> None:
    cloud.accepted()
    said = cloud.gateway.ask("GET", "/endpoints/flan-t5").document
    assert said["status"] == "stopped"


def test_body_and_types_reach_the_model_untouched(cloud: Cloud) -> None:
    body = '{"text_inputs":  "Grüße"} '.encode()
    prompt_id = cloud.accepted(body, Content_Type="text/x", Accept="a/b")
    cloud.run_queue()
    seen = cloud.look(prompt_id).document["seen"]
    assert seen["body"].encode() == body
    assert (seen["content_type"], seen["accept"]) == ("text/x", "a/b")


def test_four_megabytes_are_taken_and_no_more(cloud: Cloud) -> None:
    cloud.accepted(b"x" * LARGEST)
    said = cloud.send(b"x" * (LARGEST + 1))
    assert (said.status, said.document["limit_bytes"]) == (413, LARGEST)
    assert len(cloud.jobs) == 1


def test_the_queue_keeps_a_prompt_as_long_as_it_may(cloud: Cloud) -> None:
    asked: list[dict[str, Any]] = []
    runtime = cloud.sagemaker.client("sagemaker-runtime")
    runtime.meta.events.register(
        "provide-client-params.sagemaker-runtime.InvokeEndpointAsync",
        lambda params, **_: asked.append(params),
    )
    cloud.at(Wound()).accept(cloud.queue, {"Body": b""})
    assert asked[0]["RequestTTLSeconds"] == 6 * 3600
    assert asked[0]["InvocationTimeoutSeconds"] == 3600


def test_without_the_async_stack_it_names_the_stack_to_deploy(bare: Cloud) -> None:
    for said in (bare.send(), bare.send(Idempotency_Key="k"), bare.look("0" * 32)):
        assert (said.status, said.document["code"]) == (404, "async_not_deployed")
        assert "cdk deploy FlanT5AsyncStack" in said.document["detail"]


def test_while_the_async_endpoint_is_made_it_says_when_to_ask_again(bare: Cloud) -> None:
    bare.s3.create_bucket(Bucket=bare.bucket)
    said = bare.send()
    assert (said.status, said.headers["retry-after"]) == (503, "60")
    assert "FlanT5AsyncStack" in said.document["detail"]


def test_whatever_else_sagemaker_refuses_is_a_bad_gateway(cloud: Cloud) -> None:
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/x"
    for refusal in (refusals.denied(arn, "InvokeEndpointAsync", arn), refusals.unavailable()):
        cloud.sagemaker.faults.refuse("InvokeEndpointAsync", refusal)
        said = cloud.send()
        assert (said.status, said.document["code"]) == (502, "upstream_unreachable")


def test_an_answer_of_sagemaker_that_is_lost_is_a_bad_gateway(cloud: Cloud) -> None:
    cloud.sagemaker.faults.lose_answers("InvokeEndpointAsync")
    assert cloud.send().status == 502
    assert len(cloud.jobs) == 1


def test_an_endpoint_nobody_knows_is_not_found(cloud: Cloud) -> None:
    for method, path in (("POST", "/falcon-async"), ("GET", f"/falcon-async/{'0' * 32}")):
        assert cloud.gateway.ask(method, path, by=ADA).document["code"] == "not_found"


def test_other_methods_are_told_the_right_one(cloud: Cloud) -> None:
    said = cloud.gateway.ask("GET", "/flan-async")
    assert (said.status, said.headers["allow"]) == (405, "POST")


# ── Who may ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("change", [{"scopes": "admin,top-up"}, {"endpoints": "phi"}])
def test_sending_and_looking_need_the_scope_invoke_on_that_endpoint(
    cloud: Cloud, change: dict[str, str]
) -> None:
    prompt_id = cloud.accepted()
    for said in (cloud.send(by=ADA | change), cloud.look(prompt_id, by=ADA | change)):
        assert (said.status, said.document["scope"]) == (403, "invoke")
    assert cloud.send(by=None).status == cloud.look(prompt_id, by=None).status == 401
    assert cloud.look(prompt_id, by=BOB | {"endpoints": "flan-t5"}).status == 202


# ── Looking ──────────────────────────────────────────────────────────────────────────────────────


def test_while_it_runs_it_says_when_to_ask_again(cloud: Cloud) -> None:
    prompt_id = cloud.accepted()
    said = cloud.look(prompt_id)
    assert (said.status, said.headers["retry-after"]) == (202, "5")
    url = f"{BASE}/flan-async/{prompt_id}"
    assert said.document == {"id": prompt_id, "status": "running", "url": url}


def test_the_result_is_the_models_own_with_its_type(cloud: Cloud) -> None:
    prompt_id = cloud.accepted()
    cloud.run_queue()
    said = cloud.look(prompt_id)
    assert (said.status, said.headers["content-type"]) == (200, "application/json")
    assert said.document["generated_texts"] == ["a canned answer"]
    assert cloud.look(prompt_id).body == said.body


def test_a_result_that_is_no_text_comes_byte_by_byte(cloud: Cloud) -> None:
    prompt_id = cloud.accepted()
    cloud.put(cloud.jobs[0].output_location, bytes(range(256)), "image/png")
    said = cloud.look(prompt_id)
    assert (said.headers["content-type"], said.body) == ("image/png", bytes(range(256)))


def test_a_result_that_a_browser_could_run_is_sandboxed(cloud: Cloud) -> None:
    prompt_id = cloud.accepted()
    cloud.put(cloud.jobs[0].output_location, b"<svg/>", "image/svg+xml")
    said = cloud.look(prompt_id)
    assert (said.headers["content-type"], said.body) == ("image/svg+xml", b"<svg/>")
    assert said.headers["content-security-policy"] == "sandbox"
    assert said.headers["x-content-type-options"] == "nosniff"


def test_a_result_of_four_megabytes_fits_through_lambda_whatever_its_characters(
    cloud: Cloud,
) -> None:
    prompt_id = cloud.accepted()
    cloud.put(cloud.jobs[0].output_location, b'"' * LARGEST, "application/json")
    assert len(cloud.look(prompt_id).body) == LARGEST
    assert len(json.dumps(cloud.gateway.answers[-1])) < 6 * 10**6


def test_a_larger_result_is_fetched_from_the_bucket_without_a_token(cloud: Cloud) -> None:
    prompt_id = cloud.accepted()
    cloud.put(cloud.jobs[0].output_location, b"x" * (LARGEST + 1), "text/plain")
    said = cloud.look(prompt_id)
    assert (said.status, said.body) == (303, b"")
    with urlopen(said.headers["location"]) as answer:
        assert len(answer.read()) == LARGEST + 1
        assert answer.headers["Content-Type"] == "text/plain"


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_what_the_model_refuses_has_its_own_status_and_words(cloud: Cloud, status: int) -> None:
    prompt_id = cloud.accepted({"answer_with": status})
    cloud.run_queue()
    said = cloud.look(prompt_id)
    assert (said.status, said.document) == (status, {"error": "as requested"})
    assert said.headers["content-type"] == "application/json"


def test_words_of_the_model_without_a_status_are_told_in_a_problem(cloud: Cloud) -> None:
    prompt_id = cloud.accepted()
    cloud.put(cloud.jobs[0].failure_location, b'{"error": "CUDA out of memory"}')
    said = cloud.look(prompt_id)
    assert (said.status, said.document["code"]) == (502, "model_failed")
    assert said.document["said"] == '{"error": "CUDA out of memory"}'


@pytest.mark.parametrize(
    ("left", "status"),
    [
        (b"", 502),
        (f"Not authorized: arn:aws:iam::{ACCOUNT}:role/x".encode(), 502),
        (f"See the log in account {ACCOUNT}.".encode(), 502),
        (refusals.TIMED_OUT.encode(), 504),
        (b"\xff\xfe" * 40_000, 502),
    ],
)
def test_of_sagemakers_own_words_nothing_is_passed_on(
    cloud: Cloud, left: bytes, status: int
) -> None:
    prompt_id = cloud.accepted()
    cloud.put(cloud.jobs[0].failure_location, left)
    said = cloud.look(prompt_id)
    assert said.status == status
    assert "said" not in said.document


def test_a_long_failure_that_is_fetched_again_and_again_does_not_fill_the_log(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    prompt_id = cloud.accepted()
    cloud.put(cloud.jobs[0].failure_location, b"boom " * 10_000)
    for _ in range(3):
        assert cloud.look(prompt_id).status == 502
    logged = [record.getMessage() for record in caplog.records if prompt_id in record.getMessage()]
    assert len(logged) == 3
    assert all("boom" in line and len(line) < 700 for line in logged)


def test_what_sagemaker_gives_up_without_a_word_does_not_run_for_ever(cloud: Cloud) -> None:
    prompt_id, time = cloud.accepted(), Wound(datetime.now(UTC))
    time.wind(hours=7)
    assert cloud.at(time).result(cloud.queue, prompt_id) is None
    time.wind(minutes=11)
    with pytest.raises(UpstreamTimeoutError):
        cloud.at(time).result(cloud.queue, prompt_id)


@pytest.mark.parametrize(
    "prompt_id",
    [
        "0" * 32,
        "x",
        "0" * 31,
        "0" * 33,
        "A" * 32,
        "..",
        "%2e%2e%2fkeys",
        "0" * 31 + "\n",
        "\u0660" * 32,
    ],
)
def test_an_unknown_id_is_not_found_and_leads_nowhere_else(cloud: Cloud, prompt_id: str) -> None:
    cloud.accepted()
    said = cloud.look(prompt_id)
    assert said.status == 404
    assert said.document["code"] in {"unknown_prompt", "not_found"}


def test_an_expired_prompt_is_unknown(cloud: Cloud) -> None:
    prompt_id = cloud.accepted()
    for item in cloud.s3.list_objects_v2(Bucket=cloud.bucket)["Contents"]:
        cloud.s3.delete_object(Bucket=cloud.bucket, Key=item["Key"])
    assert cloud.look(prompt_id).document["code"] == "unknown_prompt"


# ── Sent again ───────────────────────────────────────────────────────────────────────────────────


def test_the_same_key_is_the_same_prompt_and_runs_once(cloud: Cloud) -> None:
    first, again = (cloud.send(Idempotency_Key="monday") for _ in range(2))
    assert first.document == again.document
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert len(cloud.jobs) == 1


def test_without_a_key_every_prompt_is_one(cloud: Cloud) -> None:
    assert cloud.accepted() != cloud.accepted()
    assert len(cloud.jobs) == 2


@pytest.mark.parametrize(
    ("sent", "headers"),
    [(b"other", {}), (b"{}", {"Content_Type": "text/x"}), (b"{}", {"Accept": "text/x"})],
)
def test_the_same_key_with_another_prompt_is_refused(
    cloud: Cloud, sent: bytes, headers: dict[str, str]
) -> None:
    cloud.accepted(b"{}", Idempotency_Key="monday")
    said = cloud.send(sent, Idempotency_Key="monday", **headers)
    assert (said.status, said.document["code"]) == (409, "key_reused")


def test_a_key_is_its_tokens_own(cloud: Cloud) -> None:
    first = cloud.accepted(b"1", Idempotency_Key="monday")
    assert cloud.accepted(b"2", Idempotency_Key="monday", by=BOB) != first


def test_a_key_that_is_none_is_refused(cloud: Cloud) -> None:
    assert cloud.send(Idempotency_Key="a b").document["field"] == "Idempotency-Key"


def test_a_key_whose_first_request_broke_off_sends_it_a_little_later(cloud: Cloud) -> None:
    cloud.sagemaker.faults.refuse("InvokeEndpointAsync", refusals.throttled())
    assert cloud.send(Idempotency_Key="monday").status == 502
    said = cloud.send(Idempotency_Key="monday")
    assert (said.status, said.document["code"]) == (503, "key_busy")
    assert 25 <= int(said.headers["retry-after"]) <= 30

    later = cloud.at(Wound(datetime.now(UTC) + timedelta(seconds=31)))
    prompt = {"Body": b'{"text_inputs": "hi"}'}
    first, again = (later.accept(cloud.queue, prompt, (ADA["id"], "monday")) for _ in range(2))
    assert (first.ours, again.ours) == (True, False)
    assert first.prompt_id == again.prompt_id
    assert len(cloud.jobs) == 1


@pytest.mark.parametrize("broke_off", [False, True])
def test_of_many_at_once_with_one_key_one_is_sent(cloud: Cloud, *, broke_off: bool) -> None:
    time = Wound()
    if broke_off:
        cloud.sagemaker.faults.refuse("InvokeEndpointAsync", refusals.throttled())
        with pytest.raises(UpstreamError):
            cloud.at(time).accept(cloud.queue, {"Body": b"{}"}, ("a1", "monday"))
        time.wind(seconds=31)
    prompts = cloud.at(time)

    def send(_: int) -> str:
        try:
            return prompts.accept(cloud.queue, {"Body": b"{}"}, ("a1", "monday")).prompt_id
        except KeyBusyError:
            return "later"

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(send, range(16)))
    assert len(ids - {"later"}) == len(cloud.jobs) == 1


def test_control_writes_where_it_may(cloud: Cloud) -> None:
    cloud.accepted(Idempotency_Key="monday")
    keys = [item["Key"] for item in cloud.s3.list_objects_v2(Bucket=cloud.bucket)["Contents"]]
    assert len(keys) == 3
    assert all(key.startswith(f"{ASYNC_INPUTS}/") for key in keys)
