"""Every route of control on AWS by every kind of token: a check that is forgotten fails here."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from parkmeter.api.dashboard_routes import dashboard
from parkmeter.aws import control
from simulator.moto_server import moto_server
from simulator.sagemaker.simulator import SageMakerSimulator
from tests.support.api_gateway import Gateway, gateway_to_control

OPEN, SIGNED, ANYBODY, COVERED, ADMINISTRATOR = (
    "open",
    "signed",
    "anybody",
    "covered",
    "administrator",
)
ANY_METHOD = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


@dataclass(frozen=True)
class Asked:
    """One route: as it is declared, what it needs, and a body that changes nothing."""

    method: str
    route: str
    need: str
    body: dict | None = None

    @property
    def path(self) -> str:
        path = self.route.replace("{path:path}", "v1/models").replace("{api_resource}", "flan")
        path = path.replace("{version}", dashboard().version).replace("{name:path}", "main.js")
        path = path.replace("{token_id}", "no-such-id").replace("{id}", "no-such-id")
        return path.replace("{name}", "flan-t5")

    def __str__(self) -> str:
        return f"{self.method} {self.route}"


ROUTES = [
    Asked("GET", "/", OPEN),
    Asked("GET", "/favicon.ico", OPEN),
    Asked("GET", "/assets/{version}/{name:path}", OPEN),
    Asked("GET", "/docs", OPEN),
    Asked("GET", "/openapi.json", OPEN),
    Asked("GET", "/health", OPEN),
    Asked("GET", "/extend/{link}", SIGNED),
    Asked("POST", "/extend/{link}", SIGNED),
    Asked("GET", "/whoami", ANYBODY),
    Asked("GET", "/events", ANYBODY),
    Asked("GET", "/endpoints", ANYBODY),
    Asked("GET", "/endpoint-expiry", ANYBODY),
    Asked("GET", "/endpoints/{name}", COVERED),
    Asked("GET", "/endpoints/{name}/journal", COVERED),
    Asked("GET", "/endpoints/{name}/receipt", COVERED),
    Asked("GET", "/endpoints/{name}/receipt.csv", COVERED),
    Asked("GET", "/endpoints/{name}/usage", COVERED),
    Asked("GET", "/endpoints/{name}/timeline", COVERED),
    Asked("GET", "/endpoints/{name}/logs", "admin"),
    Asked("POST", "/endpoints/{name}/eject", "admin", {"expires_at": "2000-01-01T00:00:00Z"}),
    Asked("POST", "/endpoints/{name}/top-ups", "top-up", {}),
    Asked("POST", "/endpoint-expiry", "top-up", {"minutes": 0, "EndpointName": "flan-t5"}),
    Asked("POST", "/endpoints/{name}/invocations", "invoke", {}),
    Asked("POST", "/flan", "invoke", {}),
    *(Asked(method, "/flan/{path:path}", "invoke") for method in ANY_METHOD),
    Asked("POST", "/{api_resource}-async", "invoke", {}),
    Asked("GET", "/{api_resource}-async/{id}", "invoke"),
    Asked("GET", "/tokens", ADMINISTRATOR),
    Asked("POST", "/tokens", ADMINISTRATOR, {}),
    Asked("POST", "/tokens/{token_id}/rotate", ADMINISTRATOR),
    Asked("DELETE", "/tokens/{token_id}", ADMINISTRATOR),
    Asked("GET", "/audit", ADMINISTRATOR),
]


def context(scopes: str, endpoints: str = "*") -> dict[str, str]:
    """Return the authorizer's context of a token."""
    return {"id": "a1", "name": "ada", "scopes": scopes, "endpoints": endpoints}


ALL = "admin,invoke,top-up"
KINDS = {
    "no scope": context(""),
    "invoke": context("invoke"),
    "top-up": context("top-up"),
    "admin": context("admin"),
    "everything": context(ALL),
    "everything here": context(ALL, "flan-t5"),
    "everything elsewhere": context(ALL, "falcon"),
    "a list that was lost": context(ALL, ""),
}


def enough(need: str, kind: dict[str, str]) -> bool:
    covered = kind["endpoints"] in {"*", "flan-t5"}
    match need:
        case "open" | "signed" | "anybody":
            return True
        case "covered":
            return covered
        case "administrator":
            return "admin" in kind["scopes"] and kind["endpoints"] == "*"
        case scope:
            return covered and scope in kind["scopes"].split(",")


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with (
        SageMakerSimulator(lambda: datetime.now(UTC)) as sagemaker,
        moto_server() as moto,
        pytest.MonkeyPatch.context() as monkeypatch,
        gateway_to_control(moto, sagemaker, monkeypatch) as gateway,
    ):
        queue = {"endpoint": "parkmeter-flan-t5-async", "bucket": "b", "stack": "FlanT5AsyncStack"}
        gateway.deployment.define(**{"async": queue})
        gateway.deployment.define("falcon")
        yield gateway


def test_every_route_of_control_is_in_the_table(gateway: Gateway) -> None:
    front = control.control()
    found = {"flan-t5": front._read()["flan-t5"]}
    declared = {
        (method, route.path)
        for route in front._make(found).routes
        for method in sorted(route.methods)
        if method != "HEAD" or "{path" in route.path
    }
    assert declared == {(asked.method, asked.route) for asked in ROUTES}


@pytest.mark.parametrize("asked", ROUTES, ids=str)
def test_without_a_token_only_what_is_open_answers(gateway: Gateway, asked: Asked) -> None:
    said = gateway.ask(asked.method, asked.path, asked.body, by=None)
    if asked.need == OPEN:
        # No clock runs here, so health reports it as stopped.
        assert said.status in {200, 307, 503}
    elif asked.need == SIGNED:
        # The link is the credential, and this one has no valid signature.
        assert said.status == 404
    else:
        assert said.status == 401


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("asked", ROUTES, ids=str)
def test_a_token_does_what_it_is_for_and_no_more(gateway: Gateway, asked: Asked, kind: str) -> None:
    said = gateway.ask(asked.method, asked.path, asked.body, by=KINDS[kind])
    if enough(asked.need, KINDS[kind]):
        assert said.status not in {401, 403, 500}, said.body
    else:
        assert said.status == 403
        assert asked.method == "HEAD" or said.document["code"] == "scope_missing"
