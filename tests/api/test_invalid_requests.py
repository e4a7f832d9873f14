"""Invalid requests are refused with a problem and change nothing."""

import pytest

from tests.support.control_routes import ADMIN, ROUTES, problem


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'"ten"', 400),
        (b"\xff\xfe", 400),
        (b"{}", 400),
        (b'{"minutes": null}', 400),
        (b'{"minutes": "10"}', 400),
        (b'{"minutes": true}', 400),
        (b'{"minutes": [10]}', 400),
        (b'{"minutes": NaN}', 400),
        (b'{"minutes": Infinity}', 400),
        (b'{"minutes": -1}', 400),
        (b'{"minutes": 0}', 400),
        (b'{"minutes": 1e-12}', 400),
        (b'{"minutes": 1e12}', 422),
        (b'{"minutes": ' + b"9" * 400 + b"}", 422),
        (b'{"minutes": ' + b"9" * 5000 + b"}", 400),
        (b'{"minutes": 1e999}', 400),
        (b"[" * 50_000, 400),
        (b'{"minutes": 1, "minuets": "' + b"x" * 70_000 + b'"}', 413),
    ],
)
@pytest.mark.parametrize("path", ["/endpoint-expiry", "/endpoints/flan-t5/top-ups"])
def test_bad_bodies_are_refused_plainly_and_change_nothing(front, path, body, status):
    response = front.client.post(path, content=body, headers=ADMIN)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert front.world.store.load("flan-t5").version == 0


def test_an_unknown_key_is_named(front):
    body = {"minutes": 1, "minuets": 2}
    refused = front.post("/endpoints/flan-t5/top-ups", body)
    assert problem(refused, 400, "invalid_request")["field"] == "minuets"


@pytest.mark.parametrize("value", ["yesterday", "", [], "2026-06-22T12:00:00"])
def test_an_expiry_as_seen_must_be_a_time_with_its_zone(front, value):
    response = front.post("/endpoints/flan-t5/eject", {"expires_at": value})
    assert problem(response, 400, "invalid_request")["field"] == "expires_at"


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "before=0", "before=1e400"])
def test_a_page_out_of_range_is_refused(front, query):
    response = front.get(f"/endpoints/flan-t5/journal?{query}")
    problem(response, 400, "invalid_request")


def test_unknown_endpoints_are_404_everywhere(front):
    for method, path in ROUTES[3:]:
        response = front.client.request(
            method, path.replace("flan-t5", "x"), json={"minutes": 1}, headers=ADMIN
        )
        if path.endswith("eject"):
            response = front.post("/endpoints/x/eject")
        body = problem(response, 404, "unknown_endpoint")
        assert body["endpoints"] == ["flan-t5"]


def test_unknown_paths_and_methods_are_problems(front):
    problem(front.get("/nothing"), 404, "not_found")
    response = front.client.delete("/endpoint-expiry", headers=ADMIN)
    body = problem(response, 405, "method_not_allowed")
    assert body["detail"] == "/endpoint-expiry takes GET, HEAD, POST, not DELETE."
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/chat/completions", "Let the client's base URL end in /v1."),
        ("/models", "Let the client's base URL end in /v1."),
        ("/v1", "GET /v1/models lists the models."),
        ("/v1/v1/messages", "leave it out of its base URL."),
        ("/nothing/chat", "All routes: GET /docs."),
    ],
)
def test_a_wrong_base_url_is_answered_with_the_right_one(front, path, hint):
    detail = problem(front.post(path), 404, "not_found")["detail"]
    assert hint in detail
    assert detail.count(". ") == (1 if path.startswith("/nothing") else 2)


@pytest.mark.parametrize("path", ["/%0A", "/health%0A", "/endpoints%0A", "/endpoints/flan-t5%0A"])
def test_a_path_with_a_line_feed_at_its_end_is_another_path(front, path):
    body = problem(front.get(path), 404, "not_found")
    assert body["detail"].startswith("There is no GET /")
    refused = front.post("/endpoints/flan-t5/eject%0A")
    problem(refused, 404, "not_found")
    assert front.world.store.load("flan-t5").version == 0


def test_over_a_limit_the_answer_says_the_limit_and_what_fits(front):
    body = problem(front.post("/endpoint-expiry", {"minutes": 1441}), 422, "limit_exceeded")
    assert (body["limit_minutes"], body["fits_minutes"]) == (1440, 1440)


def test_an_unexpected_error_is_a_500_without_internals(front, monkeypatch):
    def broken(name: str) -> None:
        raise RuntimeError("secret internals at arn:aws:123456789012")

    monkeypatch.setattr(front.world.store, "meters", broken)
    response = front.get("/endpoints")
    problem(response, 500, "internal")
    assert "123456789012" not in response.text
