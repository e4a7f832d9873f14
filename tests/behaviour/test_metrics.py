"""Metrics of a real gateway, and that alerts and dashboard use just these."""

import http.client
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from parkmeter._version import __version__
from parkmeter.gateway.metrics import FAMILIES, HOUSE
from tests.support.gateway_process import TOKEN, GatewayProcess, eventually, ping_config

DOCS = Path(__file__).parents[2] / "docs" / "prometheus"
SLEEPER = Path(__file__).parents[1] / "support" / "servers" / "sleeper.py"
CRASHING = ping_config("--crash-after", "0").replace("flan-t5", "other").replace("flan", "other")
SAID = '{"usage": {"prompt_tokens": 9, "completion_tokens": 3}}'
TWO = ping_config("--answer", SAID) + "\n" + CRASHING
DECLARED = {family.name.removesuffix("_total"): family for family in (*FAMILIES, *HOUSE)}
"""By the names that Prometheus' library gives them."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("metrics") / "state", TWO).start() as made:
        made.until("running")
        # Some series begin with the first answer.
        assert made.request("POST", "/flan", {}).status == 200
        yield made


class Scraped:
    """A page of metrics, read by Prometheus' own library."""

    def __init__(self, gateway: GatewayProcess, **headers: str) -> None:
        answer = gateway.request("GET", "/metrics", headers=headers)
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        self.text = answer.body.decode()
        self.families = list(text_string_to_metric_families(self.text))
        self.samples = [sample for family in self.families for sample in family.samples]
        self.names = {sample.name for sample in self.samples}

    def value(self, name: str, endpoint: str | None = "flan-t5", **labels: str) -> float:
        wanted = labels if endpoint is None else {"endpoint": endpoint, **labels}
        (found,) = [s.value for s in self.samples if (s.name, s.labels) == (name, wanted)]
        return found


def test_what_is_declared_is_there_and_nothing_else(gateway):
    scraped = Scraped(gateway)
    assert {family.name for family in scraped.families} == set(DECLARED)
    for family in scraped.families:
        declared = DECLARED[family.name]
        assert family.type == declared.type
        labels = {label for sample in family.samples for label in sample.labels}
        assert labels == {*declared.labels} | ({"endpoint"} if declared in FAMILIES else set())


def test_names_keep_to_prometheus_conventions():
    for family in (*FAMILIES, *HOUSE):
        assert re.fullmatch(r"parkmeter_[a-z_]+", family.name)
        assert family.name.endswith("_total") == (family.type == "counter")
        assert not re.search(r"minutes|millis|percent", family.name)
        assert family.about.endswith(".")


def test_the_meter_is_shown(gateway):
    scraped = Scraped(gateway)
    left = gateway.endpoint()["seconds_left"]
    assert left <= scraped.value("parkmeter_endpoint_time_left_seconds") < left + 5
    assert scraped.value("parkmeter_endpoint_status", status="running") == 1
    shown = [s.value for s in scraped.samples if s.name == "parkmeter_endpoint_status"]
    assert (len(shown), sum(shown)) == (10, 2)
    assert scraped.value("parkmeter_endpoint_overdue_seconds") == 0
    assert scraped.value("parkmeter_clock_alive", None) == 1
    assert scraped.value("parkmeter_build_info", None, version=__version__) == 1
    before = scraped.value("parkmeter_top_up_seconds_total")
    assert before >= 3600
    count = scraped.value("parkmeter_top_ups_total")
    for _ in range(2):
        path, key = "/endpoints/flan-t5/top-ups", {"Idempotency-Key": "monday"}
        assert gateway.request("POST", path, {"minutes": 2.5}, key).status == 201
    after = Scraped(gateway)
    assert after.value("parkmeter_top_up_seconds_total") - before == 150
    assert after.value("parkmeter_top_ups_total") - count == 1


def test_prompts_are_counted_by_what_became_of_them(gateway):
    before = Scraped(gateway)
    for _ in range(3):
        assert gateway.request("GET", "/flan/ping").status == 200
    assert gateway.request("POST", "/flan", {}, {"Authorization": "unknown"}).status == 403
    assert gateway.request("GET", "/flan").status == 405
    after = Scraped(gateway)

    def more(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    assert more("parkmeter_requests_total", code="2xx") == 3
    assert more("parkmeter_requests_total", code="4xx") == 2
    assert more("parkmeter_requests_total", code="5xx") == 0
    for histogram in ("first_byte", "duration"):
        name = f"parkmeter_request_{histogram}_seconds"
        assert more(f"{name}_count") == more(f"{name}_bucket", le="+Inf") == 3
        assert 0 < more(f"{name}_sum") < 3
    assert after.value("parkmeter_requests_in_flight") == 0


def test_tokens_of_the_model_are_counted_and_names_are_for_admins_only(gateway):
    token = {"name": 'a "quoted" \\ name', "scopes": ["invoke"]}
    headers = {"Authorization": gateway.request("POST", "/tokens", token).json["token"]}
    before = Scraped(gateway)
    for _ in range(2):
        assert gateway.request("POST", "/flan", {}, headers).json == json.loads(SAID)
    after = Scraped(gateway)
    for kind, each in (("input", 9), ("output", 3)):
        total = "parkmeter_model_tokens_total"
        assert after.value(total, kind=kind) - before.value(total, kind=kind) == 2 * each
        by_name = "parkmeter_model_tokens_by_name_total"
        assert after.value(by_name, who=token["name"], kind=kind) == 2 * each
    assert after.value("parkmeter_usage_unknown_total") == 0
    speed = "parkmeter_output_tokens_per_second_count"
    assert after.value(speed) - before.value(speed) == 2
    seen = Scraped(gateway, **headers)
    assert "quoted" not in seen.text
    assert "parkmeter_model_tokens_by_name_total" not in seen.names
    assert seen.value("parkmeter_model_tokens_total", kind="input") == after.value(
        "parkmeter_model_tokens_total", kind="input"
    )
    (part,) = gateway.request("GET", "/endpoints/flan-t5/usage", None, headers).json["parts"]
    assert (part["who"], part["input_tokens"], part["output_tokens"]) == (token["name"], 18, 6)
    receipt = gateway.request("GET", "/endpoints/flan-t5/receipt").json["usage"]
    assert receipt["input_tokens"] >= 18


def test_a_name_that_somebody_made_up_is_not_kept(gateway):
    assert gateway.request("POST", "/endpoints/nothing/invocations", {}).status == 404
    assert "nothing" not in Scraped(gateway).text


def test_a_client_that_leaves_is_counted_as_gone(tmp_path):
    command = json.dumps([sys.executable, "-I", str(SLEEPER), "{port}"])
    config = f"[endpoints.flan-t5]\ncommand = {command}\n"
    with GatewayProcess(tmp_path / "state", config).start() as gateway:
        gateway.until("running")
        connection = http.client.HTTPConnection(*gateway.address, timeout=20)
        headers = {"Authorization": TOKEN}
        connection.request("POST", "/flan-t5", '{"seconds": 2}', headers)
        eventually(lambda: Scraped(gateway).value("parkmeter_requests_in_flight") == 1)
        connection.close()
        eventually(lambda: Scraped(gateway).value("parkmeter_requests_total", code="gone") == 1)


def test_a_token_sees_the_endpoints_it_covers_and_the_house(gateway):
    token = {"name": "prometheus", "scopes": [], "endpoints": ["flan-t5"]}
    issued = gateway.request("POST", "/tokens", token).json["token"]
    scraped = Scraped(gateway, Authorization=f"Bearer {issued}")
    seen = {sample.labels.get("endpoint") for sample in scraped.samples}
    assert seen == {"flan-t5", None}


# ── The files that ask for them ──────────────────────────────────────────────────────────────────

PROMETHEUS_OWN = {"up"}
METRIC = re.compile(r"\b(?:parkmeter_[a-z_]+|up)\b(?!=)")


def asked_for(expression: str) -> set[str]:
    """Names of metrics in a PromQL expression."""
    return set(METRIC.findall(re.sub(r'"[^"]*"', '""', expression)))


def test_every_alert_asks_for_what_there_is(gateway):
    document = yaml.safe_load((DOCS / "alerts.yml").read_text())
    names = Scraped(gateway).names | PROMETHEUS_OWN
    (group,) = document["groups"]
    assert set(group) == {"name", "rules"}
    alerts = {rule["alert"]: rule for rule in group["rules"]}
    assert set(alerts) == {
        "EndpointOutlivesItsMeter",
        "EndpointNotReached",
        "ParkmeterGatewayDown",
        "ParkmeterClockStandsStill",
        "EndpointFailed",
        "ParkmeterRefusesTokens",
    }
    for rule in alerts.values():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smh]", rule["for"])
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert asked_for(rule["expr"])
        assert asked_for(rule["expr"]) <= names
    assert alerts["EndpointFailed"]["for"] == "10m"


def test_the_dashboard_asks_for_what_there_is_and_for_all_of_it(gateway):
    document = json.loads((DOCS / "grafana.json").read_text())
    scraped = Scraped(gateway)
    asked = set()
    for panel in document["panels"]:
        for target in panel["targets"]:
            asked |= asked_for(target["expr"])
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            asked |= asked_for(variable["query"]["query"])
    assert asked <= scraped.names
    shown = {name.removesuffix("_bucket") for name in asked}
    assert shown == {family.name for family in (*FAMILIES, *HOUSE)}
    ids = [panel["id"] for panel in document["panels"]]
    assert len(ids) == len(set(ids))


def test_the_alert_of_an_endpoint_that_failed_would_see_one_that_does(gateway):
    def failed() -> bool:
        scraped = Scraped(gateway)
        return scraped.value("parkmeter_endpoint_status", "other", status="failed") == 1

    eventually(failed)
