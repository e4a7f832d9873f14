"""Tokens and scopes on the control routes."""

import pytest
from starlette.testclient import TestClient

from parkmeter.api.app import control_app
from parkmeter.api.dependencies import ApiContext
from parkmeter.core.tokens import digest_of
from parkmeter.web.auth import TokenBook
from tests.support.control_routes import EXPIRED, FALCONER, LOOKER, ROUTES, SEED, problem


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_token_it_is_401_and_with_a_wrong_one_403(front, method, path):
    response = front.client.request(method, path)
    problem(response, 401, "token_missing")
    assert response.headers["www-authenticate"] == "Bearer"
    for wrong in ("nonsense", "Bearer nonsense", digest_of("admin-pass-code"), "x" * 5000, "é☃"):
        headers = {b"Authorization": wrong.encode()}
        problem(front.client.request(method, path, headers=headers), 403, "token_refused")
    problem(front.client.request(method, path, headers=EXPIRED), 403, "token_refused")


def test_a_token_may_come_bare_or_as_bearer(front):
    for value in ("admin-pass-code", "Bearer admin-pass-code", "bearer  admin-pass-code"):
        assert front.get("/endpoints", {"Authorization": value}).status_code == 200


def test_scopes_are_enforced_and_the_missing_one_is_named(front):
    assert front.get("/endpoints", LOOKER).status_code == 200
    body = problem(front.post("/endpoint-expiry", {"minutes": 1}, LOOKER), 403, "scope_missing")
    assert body["detail"].endswith(": parkmeter token create NAME --scope top-up")
    assert body["scope"] == "top-up"
    assert front.post("/endpoint-expiry", {"minutes": 1}, SEED).status_code == 200
    body = problem(front.post("/endpoints/flan-t5/eject", None, SEED), 403, "scope_missing")
    assert body["scope"] == "admin"


def test_a_token_for_one_endpoint_reaches_no_other(two):
    names = [one["name"] for one in two.get("/endpoints", FALCONER).json()["endpoints"]]
    assert names == ["falcon"]
    refused = problem(two.get("/endpoints/flan-t5", FALCONER), 403, "scope_missing")
    assert refused["detail"].endswith(": parkmeter token create NAME --endpoint flan-t5")
    problem(two.get("/endpoints/flan-t5/journal", FALCONER), 403, "scope_missing")
    top_up = two.post("/endpoints/flan-t5/top-ups", {"minutes": 1}, FALCONER)
    problem(top_up, 403, "scope_missing")
    assert two.post("/endpoints/falcon/top-ups", {"minutes": 1}, FALCONER).status_code == 201


def test_health_tells_when_the_clock_does_not_go_round(front):
    standing = ApiContext(
        front.world.service, TokenBook(), str, lambda: front.world.now, lambda: False
    )
    client = TestClient(control_app(standing))
    problem(client.get("/health"), 503, "clock_stopped")


def test_house_routes_need_no_token(front):
    for path in ("/health", "/docs", "/openapi.json", "/"):
        assert front.client.get(path).status_code == 200
