"""The control routes on AWS: API Gateway's events in, over tables and definitions on moto."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest

from parkmeter.aws import control
from parkmeter.aws.definitions import definition, definition_from, definitions
from parkmeter.aws.heartbeat import Heartbeat
from parkmeter.aws.link_secret import LinkSecret
from parkmeter.core.extend_link import link_of, offer_for
from parkmeter.core.journal import warning_entry
from parkmeter.core.meter import Price, is_open, time_left
from parkmeter.core.tokens import Scope, Token, digest_of
from parkmeter.errors import ConfigError
from parkmeter.stores.dynamodb_outbox import DynamoOutbox
from parkmeter.web.legacy_expiry import TIME_FORMAT
from simulator.sagemaker.simulator import SageMakerSimulator
from tests.support.api_gateway import ADA, BOB, Gateway, gateway_to_control
from tests.support.wound_sagemaker import Wound


@pytest.fixture
def gateway(
    moto: str, sagemaker: SageMakerSimulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Gateway]:
    with gateway_to_control(moto, sagemaker, monkeypatch) as gateway:
        yield gateway


# ── Routes ───────────────────────────────────────────────────────────────────────────────────────


def test_the_ancestors_top_up_and_look_work(gateway: Gateway) -> None:
    topped = gateway.ask("POST", "/endpoint-expiry", {"minutes": 10})
    assert topped.status == 200
    assert topped.document["EndpointName"] == "flan-t5"
    seen = gateway.ask("GET", "/endpoint-expiry").document
    # No clock runs here: until a start is called the meter stands still, and its close moves on.
    moved = expiry_of(seen["EndpointExpiry "]) - expiry_of(topped.document["EndpointExpiry"])
    assert timedelta(0) <= moved <= timedelta(minutes=1)
    meter = gateway.deployment.store.load("flan-t5")
    assert time_left(meter, datetime.now(UTC)) == timedelta(minutes=10)


def expiry_of(text: str) -> datetime:
    return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)


def test_an_endpoint_is_told_with_price_and_resource_of_its_definition(gateway: Gateway) -> None:
    said = gateway.ask("GET", "/endpoints/flan-t5").document
    assert said["price_per_hour"] == 7.09
    assert said["api_resource"] == "flan"
    assert said["status"] == "stopped"


def test_the_same_key_adds_time_once(gateway: Gateway) -> None:
    answers = [
        gateway.ask("POST", "/endpoints/flan-t5/top-ups", {"minutes": 5}, Idempotency_Key="monday")
        for _ in range(2)
    ]
    assert [said.status for said in answers] == [201, 201]
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert answers[0].body == answers[1].body


def test_an_eject_closes_the_meter(gateway: Gateway) -> None:
    gateway.ask("POST", "/endpoints/flan-t5/top-ups", {"minutes": 5})
    assert gateway.ask("POST", "/endpoints/flan-t5/eject").status == 200
    assert not is_open(gateway.deployment.store.load("flan-t5"), datetime.now(UTC))


def test_a_page_of_the_journal_is_as_long_as_asked_for(gateway: Gateway) -> None:
    for _ in range(3):
        gateway.ask("POST", "/endpoints/flan-t5/top-ups", {"minutes": 5})
    path = "/endpoints/flan-t5/journal"
    lines = gateway.ask("GET", path, query={"limit": ["2"]}).document["lines"]
    assert [line["number"] for line in lines] == [3, 2]


def test_a_receipt_is_reckoned_at_the_price_of_the_definition(gateway: Gateway) -> None:
    gateway.ask("POST", "/endpoints/flan-t5/top-ups", {"minutes": 5})
    said = gateway.ask("GET", "/endpoints/flan-t5/receipt")
    assert said.status == 200
    assert (said.document["price_per_hour"], said.document["cost"]) == ("7.09", "0.0000")
    assert [(part["who"], part["minutes_bought"]) for part in said.document["parts"]] == [
        ("ada", 5.0)
    ]
    before_it_was_there = {"from": ["2026-01-01"], "to": ["2026-01-02"]}
    empty = gateway.ask("GET", "/endpoints/flan-t5/receipt", query=before_it_was_there)
    assert (empty.document["saved"], empty.document["hours_on"]) == ("0.0000", 0)


def test_the_link_in_a_warning_extends_once_without_a_token(gateway: Gateway) -> None:
    gateway.ask("POST", "/endpoints/flan-t5/top-ups", {"minutes": 5})
    deployment = gateway.deployment
    store, now = deployment.store, datetime.now(UTC)
    before = store.load("flan-t5")
    spec = definition(deployment.ssm, deployment.path, "flan-t5").spec
    told = warning_entry(spec, before, before.expires_at, timedelta(minutes=10), now)
    before = store.commit(before, [told])
    (warning,) = store.journal("flan-t5", 1)
    secret = LinkSecret(deployment.dynamodb, deployment.tables.meters)
    path = f"/extend/{link_of(offer_for(warning, spec), secret())}"
    for _ in range(2):  # mail scanners
        page = gateway.ask("GET", path, by=None)
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b"Add 30 minutes to flan-t5?" in page.body
    assert store.load("flan-t5") == before
    assert gateway.ask("POST", path, by=None).status == 200
    after = store.load("flan-t5")
    assert after.expires_at - before.expires_at == timedelta(minutes=30)
    assert store.journal("flan-t5", 1)[0].who == "link in a warning"
    assert gateway.ask("POST", path, by=None).status == 409
    assert store.load("flan-t5") == after
    assert gateway.ask("POST", f"{path}x", by=None).status == 404


def test_what_control_commits_is_posted_for_the_clock_to_mail(gateway: Gateway) -> None:
    gateway.ask("POST", "/endpoints/flan-t5/top-ups", {"minutes": 5})
    deployment = gateway.deployment
    outbox = DynamoOutbox(deployment.dynamodb, deployment.tables.meters)
    (posted,) = outbox.unsent(datetime.now(UTC), 100)
    assert [posted] == deployment.store.journal("flan-t5", 9)


def test_limits_of_the_definition_hold(gateway: Gateway) -> None:
    said = gateway.ask("POST", "/endpoint-expiry", {"minutes": 1441})
    assert said.status == 422
    assert said.document["limit_minutes"] == 1440


def test_nothing_is_asked_of_sagemaker(gateway: Gateway, sagemaker: SageMakerSimulator) -> None:
    before = len(sagemaker.account.calls)
    gateway.ask("POST", "/endpoint-expiry", {"minutes": 10})
    gateway.ask("GET", "/endpoints")
    assert len(sagemaker.account.calls) == before


def test_the_documentation_knows_the_stage(gateway: Gateway) -> None:
    assert gateway.ask("GET", "/docs", by=None).status == 200
    document = gateway.ask("GET", "/openapi.json", by=None).document
    assert {"url": "/prod"} in document["servers"]


def test_the_dashboard_comes_through_the_function_with_its_files(gateway: Gateway) -> None:
    page = gateway.ask("GET", "/", by=None)
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in page.headers["content-security-policy"]
    named = re.findall(r'(?:src|href)="(assets/[^"]+)"', page.body.decode())
    assert named
    for name in named:
        file = gateway.ask("GET", f"/{name}", by=None)
        assert file.status == 200
        assert "immutable" in file.headers["cache-control"]
        assert file.body


def test_the_stage_without_a_slash_leads_to_the_dashboard(gateway: Gateway) -> None:
    said = gateway.ask("GET", "", by=None)
    assert said.status == 307
    assert said.headers["location"].endswith("/prod/")


def test_health_needs_no_token(gateway: Gateway) -> None:
    deployment = gateway.deployment
    heartbeat = Heartbeat(deployment.dynamodb, deployment.tables.meters)
    heartbeat.beat(datetime.now(UTC) - timedelta(minutes=4))
    assert gateway.ask("GET", "/health", by=None).document["status"] == "ok"
    assert gateway.ask("HEAD", "/health", by=None).status == 200


def test_health_tells_when_the_clock_never_came(gateway: Gateway) -> None:
    said = gateway.ask("GET", "/health", by=None)
    assert (said.status, said.document["code"]) == (503, "clock_stopped")


def test_a_clock_has_stopped_when_it_was_silent_for_five_minutes(gateway: Gateway) -> None:
    deployment, time = gateway.deployment, Wound()
    table = deployment.tables.meters

    def alive() -> bool:
        return heartbeat.alive(time.now())

    heartbeat = Heartbeat(deployment.dynamodb, table, ticks=lambda: time.now().timestamp())
    heartbeat.beat(time.now())
    assert alive()
    time.wind(minutes=4, seconds=59)
    assert alive()
    time.wind(seconds=1)
    assert not alive()
    heartbeat.beat(time.now())
    assert not alive(), "it is remembered for ten seconds"
    time.wind(seconds=10)
    assert alive()


def test_what_is_not_there_is_a_problem(gateway: Gateway) -> None:
    said = gateway.ask("GET", "/nowhere")
    assert said.status == 404
    assert said.headers["content-type"] == "application/problem+json"
    assert said.document["code"] == "not_found"


def test_control_starts_without_an_endpoint_of_its_own_or_a_word_to_aws(gateway: Gateway) -> None:
    # As in Lambda: a module that control imports must not act as the handler of another function.
    nowhere = {"AWS_LAMBDA_FUNCTION_NAME": "p-control", "AWS_ENDPOINT_URL": "http://localhost:9"}
    environment = {**os.environ, **nowhere}
    del environment["PARKMETER_ENDPOINT"]
    code = "import parkmeter.aws.control"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


# ── Who asks ─────────────────────────────────────────────────────────────────────────────────────


def test_the_authorizers_word_says_what_a_token_may_do(gateway: Gateway) -> None:
    said = gateway.ask("POST", "/endpoint-expiry", {"minutes": 10}, by=BOB)
    assert said.status == 403
    assert said.document["scope"] == "top-up"
    assert gateway.ask("GET", "/endpoint-expiry", by=BOB).status == 200


def test_a_tokens_minutes_a_day_hold(gateway: Gateway) -> None:
    frugal = ADA | {"minutes_per_day": "15.0"}
    path, body = "/endpoints/flan-t5/top-ups", {"minutes": 10}
    assert gateway.ask("POST", path, body, by=frugal).status == 201
    assert gateway.ask("POST", path, body, by=frugal).status == 429


def test_one_requests_word_is_not_kept_for_the_next(gateway: Gateway) -> None:
    assert gateway.ask("GET", "/endpoints", by=ADA).status == 200
    assert gateway.ask("GET", "/endpoints", by=None).status == 401


def test_where_no_authorizer_was_asked_the_table_is(gateway: Gateway) -> None:
    store = gateway.deployment.store
    now = datetime.now(UTC)
    store.put_token(Token("c3", digest_of("pm_good"), "carol", now, frozenset(Scope)))
    old = Token("d4", digest_of("pm_old"), "dave", now, expires_at=now)
    store.put_token(old)

    def status(secret: str) -> int:
        return gateway.ask("GET", "/endpoints", by=None, Authorization=secret).status

    assert status("pm_good") == 200
    assert status("Bearer pm_good") == 200
    assert [status(secret) for secret in ("pm_old", "wrong", old.digest)] == [403] * 3


# ── The clock ────────────────────────────────────────────────────────────────────────────────────


class _Lambda(HTTPServer):
    """Accepts asynchronous invocations as Lambda does, and keeps them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Invocation)
        self.asked: list[tuple[str, str, Any]] = []


class _Invocation(BaseHTTPRequestHandler):
    server: _Lambda

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = self.headers["X-Amz-Invocation-Type"]
        self.server.asked.append((self.path, kind, body))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_the_clock_is_woken_by_name_after_a_change(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _Lambda() as functions:
        thread = threading.Thread(target=functions.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{functions.server_port}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", url)
        gateway.ask("GET", "/endpoints")
        gateway.ask("POST", "/endpoint-expiry", {"minutes": 10})
        functions.shutdown()
        thread.join()
    ((path, kind, body),) = functions.asked
    assert path.endswith(f"/functions/{os.environ['PARKMETER_CLOCK_FUNCTION']}/invocations")
    assert kind == "Event"
    assert body == {"kind": "wake", "name": "flan-t5"}


def test_a_clock_that_cannot_be_woken_costs_nobody_a_top_up(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    assert gateway.ask("POST", "/endpoint-expiry", {"minutes": 10}).status == 200
    assert "the clock was not woken" in caplog.text


# ── Definitions ──────────────────────────────────────────────────────────────────────────────────


def test_more_definitions_than_one_page_are_all_read(gateway: Gateway) -> None:
    deployment = gateway.deployment
    for number in range(22):
        deployment.define(f"m{number:02}")
    found = definitions(deployment.ssm, deployment.path)
    assert len(found) == 23
    assert list(found) == sorted(found)
    said = gateway.ask("GET", "/endpoints").document["endpoints"]
    assert [endpoint["name"] for endpoint in said] == sorted(found)


def test_a_definition_says_how_an_endpoint_is_hosted_and_metered(gateway: Gateway) -> None:
    deployment = gateway.deployment
    deployment.define(max_top_up_minutes=20, drain_seconds=12.5)
    one = definition(deployment.ssm, deployment.path, "flan-t5")
    assert one.endpoint == "parkmeter-flan-t5"
    assert one.configs == {"ml.g5.12xlarge": "on-a10g", "ml.p4d.24xlarge": "on-a100"}
    assert one.spec.variants == ("ml.g5.12xlarge", "ml.p4d.24xlarge")
    assert one.spec.drain == timedelta(seconds=12.5)
    assert one.spec.warn_before == (timedelta(minutes=10), timedelta(minutes=2))
    assert one.spec.prices == {
        "ml.g5.12xlarge": Price(Decimal("7.09"), "configuration"),
        "ml.p4d.24xlarge": Price(Decimal("37.69"), "AWS Price List, 2026-11-22"),
    }
    assert one.suggested_minutes == 20


@pytest.mark.parametrize("document", ["", "[]", "{}", '{"price_per_hour": 1, "variants": 2}'])
def test_what_is_no_definition_names_the_parameter(document: str) -> None:
    with pytest.raises(ConfigError, match="/p/endpoints/flan-t5"):
        definition_from(document, "/p/endpoints/flan-t5")


def test_one_broken_definition_does_not_hide_the_others(gateway: Gateway) -> None:
    gateway.deployment.put("falcon", "{}")
    said = gateway.ask("GET", "/endpoints").document["endpoints"]
    assert [endpoint["name"] for endpoint in said] == ["flan-t5"]


def test_an_endpoint_deployed_later_is_found_within_a_minute(gateway: Gateway) -> None:
    time = Wound()
    first = control.control()
    deployment = gateway.deployment
    front = control.Control(
        first._book,
        lambda: definitions(deployment.ssm, deployment.path),
        first._make,
        ticks=lambda: time.now().timestamp(),
    )
    before = front._application()
    deployment.define("phi")
    time.wind(seconds=59)
    assert front._application() is before
    time.wind(seconds=1)
    assert front._application() is not before
    later = front._application()
    time.wind(minutes=2)
    assert front._application() is later
    front.close()


def test_when_ssm_fails_the_known_definitions_stay(gateway: Gateway) -> None:
    first, time = control.control(), Wound()
    found = definitions(gateway.deployment.ssm, gateway.deployment.path)
    answers = iter([lambda: found])

    def read() -> Any:
        known = next(answers, None)
        if known is None:
            return definitions(boto3.client("ssm", endpoint_url="http://localhost:9"), "/p/")
        return known()

    ticks = lambda: time.now().timestamp()  # noqa: E731
    front = control.Control(first._book, read, first._make, ticks)
    before = front._application()
    time.wind(minutes=2)
    assert front._application() is before
    front.close()


# ── Tokens and logs ──────────────────────────────────────────────────────────────────────────────


def test_a_token_that_is_issued_is_known_to_the_table_by_its_digest(gateway: Gateway) -> None:
    issued = gateway.ask("POST", "/tokens", {"name": "cyd", "endpoints": ["flan-t5"]})
    assert issued.status == 201
    listed = gateway.ask("GET", "/tokens")
    assert issued.document["token"].encode() not in listed.body
    kept = {token.name: token for token in gateway.deployment.store.tokens()}
    assert kept["cyd"].digest == digest_of(issued.document["token"])
    assert gateway.ask("POST", "/tokens", {"name": "cyd"}).document["code"] == "name_taken"
    path = f"/tokens/{issued.document['id']}"
    assert gateway.ask("DELETE", path).status == 204
    assert gateway.ask("DELETE", path).document["code"] == "unknown_token"


def test_the_audit_has_who_issued_and_rotated_tokens_and_who_ejected(gateway: Gateway) -> None:
    issued = gateway.ask("POST", "/tokens", {"name": "cyd"}).document
    rotated = gateway.ask("POST", f"/tokens/{issued['id']}/rotate")
    assert rotated.status == 200
    kept = {token.name: token for token in gateway.deployment.store.tokens()}
    assert kept["cyd"].digest == digest_of(rotated.document["token"])
    gateway.ask("POST", "/endpoints/flan-t5/top-ups", {"minutes": 5})
    assert gateway.ask("POST", "/endpoints/flan-t5/eject").status == 200
    answer = gateway.ask("GET", "/audit")
    lines = [(line["action"], line["by"], line["subject"]) for line in answer.document["lines"]]
    assert lines == [
        ("endpoint.ejected", "ada", "flan-t5"),
        ("token.rotated", "ada", issued["id"]),
        ("token.issued", "ada", issued["id"]),
    ]
    assert issued["token"].encode() not in answer.body
    assert gateway.ask("GET", "/audit", by=BOB).document["code"] == "scope_missing"


def test_tokens_need_an_admin_of_every_endpoint(gateway: Gateway) -> None:
    assert gateway.ask("GET", "/tokens", by=BOB).document["code"] == "scope_missing"
    some = {**ADA, "endpoints": "flan-t5"}
    refused = gateway.ask("POST", "/tokens", {"name": "cyd"}, by=some).document
    assert (refused["code"], refused["scope"]) == ("scope_missing", "admin")


def test_logs_are_cloudwatchs_and_not_followed(gateway: Gateway) -> None:
    logs = boto3.client("logs")
    group = "/aws/sagemaker/Endpoints/parkmeter-flan-t5"
    path = "/endpoints/flan-t5/logs"
    assert gateway.ask("GET", path).body == b""
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="one")
    now = round(datetime.now(UTC).timestamp() * 1000)
    events = [{"timestamp": now, "message": f"line {number}"} for number in range(3)]
    logs.put_log_events(logGroupName=group, logStreamName="one", logEvents=events)
    assert gateway.ask("GET", path, query={"lines": ["2"]}).body == b"line 1\nline 2\n"
    followed = gateway.ask("GET", path, query={"follow": ["true"]})
    assert (followed.status, followed.document["code"]) == (404, "not_available_here")
    assert followed.document["log_group"] == group
    assert gateway.ask("GET", path, by=BOB).document["code"] == "scope_missing"


def test_an_item_that_makes_no_sense_hides_no_other_token(gateway: Gateway) -> None:
    deployment = gateway.deployment
    broken = {"token": "by-hand", "id": "b1", "expires_at": "next summer"}
    deployment.dynamodb.put_item(TableName=deployment.tables.auth, Item=broken)
    gateway.ask("POST", "/tokens", {"name": "boss", "scopes": ["admin"]})
    listed = gateway.ask("GET", "/tokens").document["tokens"]
    assert [token["name"] for token in listed] == ["boss"]
    assert deployment.store.remove_token("b1")


def test_nothing_is_followed_through_api_gateway(gateway: Gateway) -> None:
    said = gateway.ask("GET", "/events")
    assert (said.status, said.document["code"]) == (404, "path_not_served")


def test_who_asks_is_known_from_the_authorizer_or_the_table(gateway: Gateway) -> None:
    said = gateway.ask("GET", "/whoami").document
    assert set(said) == {"id", "name", "scopes", "endpoints", "expires_at", "events"}
    assert said["events"] is False
    assert "admin" in said["scopes"]


def test_a_timeline_and_a_csv_are_there_without_requests(gateway: Gateway) -> None:
    gateway.ask("POST", "/endpoints/flan-t5/top-ups", {"dollars": 5})
    said = gateway.ask("GET", "/endpoints/flan-t5/timeline").document
    assert [one["minutes"] for one in said["top_ups"]] == [pytest.approx(42.313, abs=0.001)]
    assert said["requests"] == []
    assert gateway.ask("GET", "/endpoints/flan-t5").document["price_source"] == "configuration"
    answer = gateway.ask("GET", "/endpoints/flan-t5/receipt.csv")
    assert answer.status == 200
