"""The OpenAPI document and the docs page."""

import re
from html import unescape

import pytest
from fastapi.testclient import TestClient

from tests.support.control_routes import ADMIN


def test_the_document_describes_every_route_and_its_problems(front):
    document = front.client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/health",
        "/whoami",
        "/endpoints",
        "/endpoints/{name}",
        "/endpoints/{name}/top-ups",
        "/endpoints/{name}/eject",
        "/endpoints/{name}/journal",
        "/endpoints/{name}/receipt",
        "/endpoints/{name}/receipt.csv",
        "/endpoints/{name}/timeline",
        "/endpoints/{name}/usage",
        "/endpoints/{name}/invocations",
        "/endpoint-expiry",
        "/{api_resource}",
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["description"], path
    top_up = document["paths"]["/endpoints/{name}/top-ups"]["post"]
    problem_schema = {"$ref": "#/components/schemas/Problem"}
    for status in ("400", "401", "403", "404", "409", "413", "422", "429", "503"):
        content = top_up["responses"][status]["content"]
        assert content["application/problem+json"]["schema"] == problem_schema, status


def test_generated_clients_get_methods_and_bodies_with_names(front):
    document = front.client.get("/openapi.json").json()
    operations = [one for path in document["paths"].values() for one in path.values()]
    ids = [one["operationId"] for one in operations]
    assert len(set(ids)) == len(ids)
    assert {"list_endpoints", "top_up", "eject", "get_receipt", "prompt_by_name"} <= set(ids)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", one) for one in ids)
    bodies = [
        one["requestBody"]["content"]["application/json"]["schema"]
        for one in operations
        if "requestBody" in one
    ]
    named = {body["$ref"].rpartition("/")[2] for body in bodies if body}
    assert named == {"TopUp", "Eject", "LegacyTopUp"}
    assert named <= document["components"]["schemas"].keys()
    assert "$defs" not in str(document)
    top_up = document["paths"]["/endpoints/{name}/top-ups"]["post"]
    patterns = {one["name"]: one["schema"]["pattern"] for one in top_up["parameters"]}
    assert re.fullmatch(patterns["name"], "flan-t5")
    assert not re.fullmatch(patterns["Idempotency-Key"], "a b")


@pytest.mark.parametrize(("at", "server"), [("", "/"), ("/prod", "/prod")])
def test_the_server_of_the_document_is_the_one_it_was_loaded_from(front, at, server):
    client = TestClient(front.client.app, root_path=at)
    assert client.get(f"{at}/openapi.json").json()["servers"] == [{"url": server}]


def test_the_docs_page_shows_calls_to_copy(front):
    page = front.client.get("/docs").text
    assert "curl http://testserver/prod/endpoints/flan-t5/top-ups" in page
    assert "<script" not in page


def test_the_calls_on_the_docs_page_have_bodies_that_are_accepted(front):
    page = unescape(front.client.get("/docs").text)
    calls = re.findall(r"curl http://testserver/prod(\S+) [^<]*?-d '(.*?)'", page)
    answers = {path: front.client.post(path, content=body, headers=ADMIN) for path, body in calls}
    assert {"/endpoints/flan-t5/top-ups", "/endpoint-expiry"} <= answers.keys()
    assert [path for path, answer in answers.items() if answer.status_code == 400] == []


def test_the_docs_page_loads_nothing_and_runs_nothing(front):
    headers = front.client.get("/docs").headers
    policy = dict(
        part.partition(" ")[::2] for part in headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert "script-src" not in policy
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_the_document_and_the_page_are_made_once(front, monkeypatch):
    asked = []
    made = front.client.app.openapi
    monkeypatch.setattr(front.client.app, "openapi", lambda: asked.append(1) or made())
    for _ in range(3):
        assert front.client.get("/openapi.json").json()["paths"]
        assert (
            "curl http://a.test/prod/health"
            in front.client.get("/docs", headers={"Host": "a.test"}).text
        )
    assert len(asked) == 2


def test_a_host_is_no_markup_on_the_docs_page(front):
    page = front.client.get("/docs", headers={"Host": "<b>"}).text
    assert "<b>/prod" not in page
