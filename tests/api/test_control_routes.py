"""The control routes, over a whole parkmeter on a wound clock."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from starlette.testclient import TestClient

from parkmeter.api.app import control_app
from parkmeter.api.dependencies import ApiContext
from parkmeter.core.meter import Spec
from parkmeter.core.money import Minutes
from parkmeter.core.request_counts import Count
from parkmeter.core.tokens import Scope, Token, digest_of
from parkmeter.service.changes import Actor
from parkmeter.web.auth import TokenBook
from tests.support.world import MINUTE, NOON, SECOND, World, spec

ADMIN = {"Authorization": "admin-pass-code"}
SEED = {"Authorization": "seed-pass-code"}
LOOKER = {"Authorization": "looker-pass-code"}
FALCONER = {"Authorization": "falcon-pass-code"}
EXPIRED = {"Authorization": "expired-pass-code"}


@dataclass
class Front:
    world: World
    client: TestClient

    def get(self, path: str, headers: dict[str, str] | None = None, **more: object):
        return self.client.get(path, headers=ADMIN if headers is None else headers, **more)

    def post(self, path: str, json: object = None, headers: dict[str, str] | None = None, **more):
        headers = ADMIN if headers is None else headers
        return self.client.post(path, json=json, headers=headers, **more)


def front_of(*specs: Spec) -> Front:
    world = World(*specs)
    tokens = [
        _token("admin-pass-code", frozenset(Scope)),
        _token("seed-pass-code"),
        _token("looker-pass-code", frozenset()),
        _token("falcon-pass-code", endpoints=frozenset({"falcon"})),
        _token("expired-pass-code", expires_at=NOON),
    ]
    control = ApiContext(world.service, TokenBook(tokens), lambda name: name, lambda: world.now)
    return Front(world, TestClient(control_app(control), raise_server_exceptions=False))


def _token(secret: str, scopes: frozenset[Scope] | None = None, **changes: object) -> Token:
    name = secret.partition("-")[0]
    more = changes if scopes is None else {**changes, "scopes": scopes}
    return Token(id=name, digest=digest_of(secret), name=name, created_at=NOON, **more)


@pytest.fixture
def front() -> Front:
    return front_of(spec(price_per_hour=Decimal("7.09")))


@pytest.fixture
def two() -> Front:
    return front_of(Spec("flan-t5"), Spec("falcon"))


def problem(response, status: int, code: str) -> dict:
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (response.status_code, body["code"]) == (status, code), body
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


# ── The ancestor's contract ──────────────────────────────────────────────────────────────────────


def test_the_ancestors_look_has_its_documented_keys(front):
    front.world.top_up(10)
    response = front.get("/endpoint-expiry")
    assert response.status_code == 200
    assert response.json() == {
        "EndpointName": "flan-t5",
        "EndpointExpiry ": "22-06-2026-12-10-00",
        "EndpointExpiry": "22-06-2026-12-10-00",
        "TimeLeft": "0:10:00.000000",
        "Status": "starting",
    }


def test_the_ancestors_top_up_answers_with_the_same_object(front):
    first = front.post("/endpoint-expiry", {"minutes": 10})
    assert first.status_code == 200
    assert first.json() == front.get("/endpoint-expiry").json()
    named = front.post("/endpoint-expiry", {"minutes": 5, "EndpointName": "flan-t5"})
    assert named.json()["TimeLeft"] == "0:15:00.000000"


def test_a_body_is_json_whatever_its_content_type_says(front):
    for content_type in ("application/x-www-form-urlencoded", "text/plain", "application/json"):
        headers = {**ADMIN, "Content-Type": content_type}
        response = front.client.post("/endpoint-expiry", content='{"minutes": 1}', headers=headers)
        assert response.status_code == 200


def test_a_top_up_may_be_typed_without_json(front):
    response = front.client.post("/endpoint-expiry", content="minutes=2.5", headers=ADMIN)
    assert response.json()["TimeLeft"] == "0:02:30.000000"
    for body in ("minutes=", "minutes=-1", "minutes=1e9", "minutes=1&minutes=2", "hours=1"):
        refused = front.client.post("/endpoint-expiry", content=body, headers=ADMIN)
        problem(refused, 400, "invalid_request")


def test_a_meter_that_was_never_used_has_no_expiry(front):
    one = front.get("/endpoints/flan-t5").json()
    assert (one["expires_at"], one["closes_at"], one["seconds_left"]) == (None, None, 0)


def test_an_expired_meters_top_up_counts_from_now(front):
    front.world.top_up(10)
    front.world.wind(60 * MINUTE)
    closed = front.get("/endpoint-expiry").json()
    assert (closed["TimeLeft"], closed["Status"]) == ("0:00:00.000000", "stopped")
    assert front.post("/endpoint-expiry", {"minutes": 10}).json()["TimeLeft"] == "0:10:00.000000"


def test_time_left_has_six_decimals_and_counts_days_as_the_ancestor_did(front):
    front.world.clock.time += timedelta(microseconds=5)
    front.world.top_up(10)
    front.world.wind(timedelta(seconds=2))  # it serves: until then the meter stands still
    front.world.clock.time += timedelta(microseconds=211300)
    left = front.get("/endpoint-expiry").json()["TimeLeft"]
    assert re.fullmatch(r"0:09:5[89]\.\d{6}", left)
    assert left == f"0:09:{front.world.left().total_seconds() - 540:.6f}"
    front.post("/endpoint-expiry", {"minutes": 1440})
    assert front.get("/endpoint-expiry").json()["TimeLeft"].startswith(f"1 day, {left[:7]}.")


def test_with_several_endpoints_the_look_is_a_list_and_a_name_picks_one(two):
    assert [one["EndpointName"] for one in two.get("/endpoint-expiry").json()] == [
        "flan-t5",
        "falcon",
    ]
    one = two.get("/endpoint-expiry", params={"EndpointName": "falcon"}).json()
    assert one["EndpointName"] == "falcon"
    problem(two.get("/endpoint-expiry", params={"EndpointName": "x"}), 404, "unknown_endpoint")


def test_with_several_endpoints_the_top_up_must_name_one(two):
    body = problem(two.post("/endpoint-expiry", {"minutes": 10}), 400, "invalid_request")
    assert body["field"] == "EndpointName"
    assert "falcon" in body["detail"]
    two.post("/endpoint-expiry", {"minutes": 10, "EndpointName": "falcon"})
    assert two.world.left("falcon") == 10 * MINUTE
    assert two.world.left("flan-t5") == timedelta(0)


# ── parkmeter's own ──────────────────────────────────────────────────────────────────────────────


def test_an_endpoint_tells_status_time_and_money(front):
    front.world.top_up(10)
    front.world.wind(31 * SECOND)
    one = front.get("/endpoints/flan-t5").json()
    assert one["status"] == "running"
    assert one["reason"] == "serving"
    assert one["expires_at"] == one["closes_at"]
    assert one["expires_at"].endswith("Z")
    assert 569 < one["seconds_left"] < 571
    assert one["price_per_hour"] == 7.09
    assert one["cost_so_far"] == 0.0611
    assert front.get("/endpoints").json() == {"endpoints": [one]}


def test_a_cause_is_told_apart_from_what_changes_by_itself(front):
    front.world.driver.fail_next_start("flan-t5", "exit code 1: no such file")
    front.world.top_up(60)
    front.world.wind(SECOND)
    starting = front.get("/endpoints/flan-t5").json()
    assert starting["reason"] == f"{starting['cause']}, 1.0 s so far"
    while front.world.status() != "failed":
        front.world.wind(SECOND)
    one = front.get("/endpoints/flan-t5").json()
    assert (one["status"], one["cause"]) == ("failed", "exit code 1: no such file")
    assert one["reason"].startswith("exit code 1: no such file; trying again at ")
    assert one["next_try"] is not None


def test_an_unknown_price_is_null_and_never_zero(two):
    two.world.top_up(10)
    one = two.get("/endpoints/flan-t5").json()
    assert (one["price_per_hour"], one["cost_so_far"]) == (None, None)


def test_a_top_up_is_created_and_says_what_came_of_it(front):
    response = front.post("/endpoints/flan-t5/top-ups", {"minutes": 30})
    assert response.status_code == 201
    changed = response.json()
    assert changed["minutes"] == 30
    assert changed["seconds_left"] == 1800
    assert changed["by"] == "admin"
    assert changed["expires_at"] == "2026-06-22T12:30:00Z"


def test_a_top_up_in_dollars_adds_the_minutes_they_buy(front):
    response = front.post("/endpoints/flan-t5/top-ups", {"dollars": 5})
    assert response.status_code == 201
    changed = response.json()
    assert changed["minutes"] == pytest.approx(5 / 7.09 * 60, abs=1e-6)
    assert changed["dollars"] == "5.0000"
    assert front.world.left() == timedelta(microseconds=2_538_787_023)
    why = front.get("/endpoints/flan-t5/journal").json()["lines"][0]["why"]
    assert why == "for $5"
    as_text = front.post("/endpoints/flan-t5/top-ups", {"dollars": "0.10"}).json()
    assert as_text["dollars"] == "0.1000"
    typed = front.client.post("/endpoints/flan-t5/top-ups", content="dollars=2.5", headers=ADMIN)
    assert typed.json()["dollars"] == "2.5000"


def test_a_top_up_in_minutes_says_what_they_cost(front, two):
    assert front.post("/endpoints/flan-t5/top-ups", {"minutes": 30}).json()["dollars"] == "3.5450"
    assert two.post("/endpoints/flan-t5/top-ups", {"minutes": 30}).json()["dollars"] is None


def test_dollars_buy_nothing_where_the_price_is_unknown(two):
    refused = two.post("/endpoints/flan-t5/top-ups", {"dollars": 5})
    assert "minutes" in problem(refused, 422, "price_unknown")["detail"]
    assert two.world.left() == timedelta(0)


def test_dollars_sent_again_are_answered_alike_whatever_the_price_is_by_then(front):
    headers = {**ADMIN, "Idempotency-Key": "monday"}
    first = front.post("/endpoints/flan-t5/top-ups", {"dollars": 5}, headers)
    front.world.service.configure({"flan-t5": spec()})
    again = front.post("/endpoints/flan-t5/top-ups", {"dollars": "5.00"}, headers)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    front.world.service.configure({"flan-t5": spec(price_per_hour=Decimal(60))})
    minutes = front.post("/endpoints/flan-t5/top-ups", {"minutes": 5}, headers)
    problem(minutes, 409, "key_reused")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "minutes"),
        ({"minutes": 5, "dollars": 5}, "dollars"),
        ({"dollars": 0}, "dollars"),
        ({"dollars": -1}, "dollars"),
        ({"dollars": None}, "dollars"),
        ({"dollars": True}, "dollars"),
        ({"dollars": "much"}, "dollars"),
        ({"dollars": "NaN"}, "dollars"),
        ({"dollars": 1e300}, "dollars"),
        ({"dollars": "1e-99999999"}, "dollars"),
        ({"dollars": "1e99999999"}, "dollars"),
        ({"dollars": "0.000000000001"}, "dollars"),
    ],
)
def test_dollars_that_are_none_are_refused(front, body, field):
    refused = front.post("/endpoints/flan-t5/top-ups", body)
    assert problem(refused, 400, "invalid_request")["field"] == field


def test_dollars_keep_the_limits(front):
    refused = front.post("/endpoints/flan-t5/top-ups", {"dollars": 1_000_000_000})
    assert problem(refused, 422, "limit_exceeded")["fits_minutes"] == 1440


def test_who_asks_is_told_what_the_token_may_do(two):
    said = two.get("/whoami").json()
    assert said == {
        "id": "admin",
        "name": "admin",
        "scopes": ["invoke", "top-up", "admin"],
        "endpoints": None,
        "expires_at": None,
        "events": True,
    }
    assert two.get("/whoami", FALCONER).json()["endpoints"] == ["falcon"]
    assert two.get("/whoami", LOOKER).json()["scopes"] == []
    problem(two.client.get("/whoami"), 401, "token_missing")


def test_an_endpoint_tells_what_a_dashboard_needs(front):
    stopped = front.get("/endpoints/flan-t5").json()
    assert (stopped["started_at"], stopped["starting_since"]) == (None, None)
    assert stopped["warn_minutes"] == [10, 2]
    assert stopped["extend_minutes"] == 30
    short = front_of(spec(max_top_up=10 * MINUTE)).get("/endpoints/flan-t5").json()
    assert short["extend_minutes"] == 10, "no more than one top-up may add"
    assert stopped["max_top_up_minutes"] == 1440
    front.world.driver.start_takes = 20 * SECOND
    front.world.top_up(10)
    front.world.wind(5 * SECOND)
    starting = front.get("/endpoints/flan-t5").json()
    assert starting["started_at"] == starting["starting_since"] == "2026-06-22T12:00:00Z"
    assert starting["usual_start_seconds"] is None
    front.world.wind(MINUTE)
    running = front.get("/endpoints/flan-t5").json()
    assert running["started_at"] == "2026-06-22T12:00:00Z"
    assert running["starting_since"] is None


def test_the_same_key_gets_the_same_answer_and_adds_once(front):
    headers = {**ADMIN, "Idempotency-Key": "monday"}
    first = front.post("/endpoints/flan-t5/top-ups", {"minutes": 30}, headers)
    front.world.wind(MINUTE)
    again = front.post("/endpoints/flan-t5/top-ups", {"minutes": 30}, headers)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    other = front.post("/endpoints/flan-t5/top-ups", {"minutes": 31}, headers)
    problem(other, 409, "key_reused")
    assert len(front.world.service.journal("flan-t5", 100)) == 4


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "a b"])
def test_a_key_that_is_none_is_refused(front, key):
    headers = {**ADMIN, "Idempotency-Key": key}
    response = front.post("/endpoints/flan-t5/top-ups", {"minutes": 30}, headers)
    assert problem(response, 400, "invalid_request")["field"] == "Idempotency-Key"


def test_an_eject_ends_it_and_may_say_which_expiry_it_saw(front):
    front.post("/endpoints/flan-t5/top-ups", {"minutes": 30})
    seen = front.get("/endpoints/flan-t5").json()["expires_at"]
    front.post("/endpoints/flan-t5/top-ups", {"minutes": 30})
    moved = front.post("/endpoints/flan-t5/eject", {"expires_at": seen})
    now_at = problem(moved, 409, "expiry_moved")["expires_at"]
    ejected = front.post("/endpoints/flan-t5/eject", {"expires_at": now_at})
    assert ejected.status_code == 200
    assert ejected.json()["minutes"] == -60
    assert front.post("/endpoints/flan-t5/eject").status_code == 200


def test_the_journal_is_newest_first_and_pages(front):
    for _ in range(5):
        front.post("/endpoints/flan-t5/top-ups", {"minutes": 1})
    page = front.get("/endpoints/flan-t5/journal", params={"limit": 2}).json()
    assert [line["number"] for line in page["lines"]] == [5, 4]
    assert page["lines"][0]["by"] == "admin"
    rest = front.get("/endpoints/flan-t5/journal", params={"before": page["before"]}).json()
    assert [line["number"] for line in rest["lines"]] == [3, 2, 1]
    assert rest["before"] is None


# ── Who may ──────────────────────────────────────────────────────────────────────────────────────

ROUTES = [
    ("GET", "/endpoint-expiry"),
    ("POST", "/endpoint-expiry"),
    ("GET", "/endpoints"),
    ("GET", "/endpoints/flan-t5"),
    ("POST", "/endpoints/flan-t5/top-ups"),
    ("POST", "/endpoints/flan-t5/eject"),
    ("GET", "/endpoints/flan-t5/journal"),
]


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
    assert body["scope"] == "top-up"
    assert front.post("/endpoint-expiry", {"minutes": 1}, SEED).status_code == 200
    body = problem(front.post("/endpoints/flan-t5/eject", None, SEED), 403, "scope_missing")
    assert body["scope"] == "admin"


def test_a_token_for_one_endpoint_reaches_no_other(two):
    names = [one["name"] for one in two.get("/endpoints", FALCONER).json()["endpoints"]]
    assert names == ["falcon"]
    problem(two.get("/endpoints/flan-t5", FALCONER), 403, "scope_missing")
    problem(two.get("/endpoints/flan-t5/journal", FALCONER), 403, "scope_missing")
    top_up = two.post("/endpoints/flan-t5/top-ups", {"minutes": 1}, FALCONER)
    problem(top_up, 403, "scope_missing")
    assert two.post("/endpoints/falcon/top-ups", {"minutes": 1}, FALCONER).status_code == 201


def test_the_journal_shows_others_lines_to_admins_only(front):
    front.post("/endpoint-expiry", {"minutes": 1}, ADMIN)
    front.post("/endpoint-expiry", {"minutes": 2}, SEED)
    front.world.wind(5 * SECOND)

    def seen_by(headers: dict[str, str]) -> set[str]:
        return {
            line["by"] for line in front.get("/endpoints/flan-t5/journal", headers).json()["lines"]
        }

    assert seen_by(ADMIN) == {"admin", "seed", "parkmeter"}
    assert seen_by(SEED) == {"seed", "parkmeter"}


def test_a_token_for_one_endpoint_tops_up_no_other_in_the_ancestors_words_either(two):
    body = {"minutes": 1, "EndpointName": "flan-t5"}
    problem(two.post("/endpoint-expiry", body, FALCONER), 403, "scope_missing")
    unnamed = problem(
        two.post("/endpoint-expiry", {"minutes": 1}, FALCONER), 400, "invalid_request"
    )
    assert "flan-t5" not in unnamed["detail"]
    assert two.world.left("flan-t5") == timedelta(0)


def test_health_tells_when_the_clock_does_not_go_round(front):
    standing = ApiContext(
        front.world.service, TokenBook(), str, lambda: front.world.now, lambda: False
    )
    client = TestClient(control_app(standing))
    problem(client.get("/health"), 503, "clock_stopped")


def test_house_routes_need_no_token(front):
    for path in ("/health", "/docs", "/openapi.json", "/"):
        assert front.client.get(path).status_code == 200


# ── Receipts ─────────────────────────────────────────────────────────────────────────────────────


def test_a_receipt_tells_hours_money_and_whose_time_it_was(front):
    front.world.driver.stop_takes = timedelta(0)
    front.post("/endpoints/flan-t5/top-ups", {"minutes": 60}, SEED)
    front.world.wind(90 * MINUTE)
    body = front.get("/endpoints/flan-t5/receipt", LOOKER).json()
    assert (body["endpoint"], body["from"], body["to"]) == (
        "flan-t5",
        "2026-06-22T12:00:00Z",
        "2026-06-22T13:30:00Z",
    )
    assert body["price_per_hour"] == "7.09"
    assert (body["always_on_cost"], body["unpriced_hours"]) == ("10.6350", 0.0)
    assert Decimal(body["cost"]) + Decimal(body["saved"]) == Decimal(body["always_on_cost"])
    (part,) = body["parts"]
    assert (part["who"], part["minutes_bought"]) == ("seed", 60.0)
    assert (part["cost"], part["hours_on"]) == (body["cost"], body["hours_on"])
    (run,) = body["runs"]
    assert (run["started"], run["variant"], run["cost"]) == (body["from"], "local", body["cost"])
    assert 1 <= body["hours_on"] < 1.001


def test_a_receipt_comes_as_csv_with_the_same_money(front):
    front.post("/endpoints/flan-t5/top-ups", {"minutes": 30}, SEED)
    front.world.wind(20 * MINUTE)
    front.post("/endpoints/flan-t5/top-ups", {"minutes": 30})
    front.world.wind(90 * MINUTE)
    response = front.get("/endpoints/flan-t5/receipt.csv")
    said = front.get("/endpoints/flan-t5/receipt").json()
    assert response.headers["content-type"].startswith("text/csv")
    name = "flan-t5_2026-06-22_2026-06-22.csv"
    assert response.headers["content-disposition"] == f'attachment; filename="{name}"'
    lines = response.text.split("\r\n")
    assert lines[-1] == ""
    headings = lines[0].split(",")
    rows = [dict(zip(headings, line.split(","), strict=True)) for line in lines[1:-1]]
    assert [(row["row"], row["who"]) for row in rows] == [
        ("buyer", "seed"),
        ("buyer", "admin"),
        ("total", ""),
    ]
    assert [row["cost"] for row in rows[:-1]] == [part["cost"] for part in said["parts"]]
    money = ("cost", "known_cost", "always_on_cost", "saved")
    assert [rows[-1][name] for name in money] == [said[name] for name in money]
    assert rows[-1]["to"] == said["to"]


def test_a_csv_has_nothing_for_an_unknown_price_and_nobodys_name_becomes_a_formula(two):
    two.world.service.top_up("flan-t5", Minutes.of(10), Actor("x", "=cmd|'/c calc'!A1"))
    two.world.wind(20 * MINUTE)
    buyer, total = two.get("/endpoints/flan-t5/receipt.csv").text.splitlines()[1:]
    assert ",'=cmd|'/c calc'!A1," in buyer
    assert total.split(",")[6] == ""


def test_a_timeline_tells_statuses_top_ups_and_requests(front):
    front.post("/endpoints/flan-t5/top-ups", {"minutes": 30}, SEED)
    front.world.wind(10 * MINUTE)
    said = front.get("/endpoints/flan-t5/timeline").json()
    assert (said["from"], said["to"]) == ("2026-06-21T12:10:00Z", "2026-06-22T12:10:00Z")
    assert [one["status"] for one in said["stretches"]] == ["stopped", "starting", "running"]
    assert said["stretches"][0]["begin"] == said["from"]
    assert said["stretches"][-1]["end"] == said["to"]
    assert said["top_ups"] == [{"at": "2026-06-22T12:00:00Z", "minutes": 30, "by": "seed"}]
    assert said["requests"] is None  # nobody counts here
    period = {"from": "2026-06-22T12:05", "to": "2027-01-01"}
    cut = front.get("/endpoints/flan-t5/timeline", params=period).json()
    assert [one["status"] for one in cut["stretches"]] == ["running"]
    assert (cut["to"], cut["top_ups"]) == (said["to"], [])
    wrong = front.get("/endpoints/flan-t5/timeline", params={"from": "2027-01-01"})
    assert problem(wrong, 400, "invalid_request")["field"] == "from"


def test_a_timeline_has_the_requests_in_slots_that_suit_its_length(front):
    class Counts:
        """One request in each slot that is asked for."""

        def of(
            self, _name: str, begin: datetime, end: datetime, slot: timedelta
        ) -> Sequence[Count] | None:
            return [Count(begin + n * slot, 1) for n in range((end - begin) // slot)]

    book = TokenBook([_token("admin-pass-code", frozenset(Scope))])
    control = ApiContext(front.world.service, book, str, lambda: NOON, requests=Counts())
    client = TestClient(control_app(control))
    for since, minutes, many in (
        ("2026-06-21T12:00", 1, 1440),
        ("2026-06-15T12:00", 5, 2016),
        ("2026-05-23T12:00", 60, 720),
    ):
        path = f"/endpoints/flan-t5/timeline?from={since}"
        said = client.get(path, headers=ADMIN).json()
        assert (said["request_minutes"], len(said["requests"])) == (minutes, many)
        assert said["requests"][0] == {"at": f"{since}:00Z", "count": 1}


def test_a_timeline_names_others_to_admins_only(front):
    front.post("/endpoints/flan-t5/top-ups", {"minutes": 30})
    front.post("/endpoints/flan-t5/top-ups", {"minutes": 30}, SEED)
    front.world.wind(MINUTE)
    seen = front.get("/endpoints/flan-t5/timeline", SEED).json()["top_ups"]
    assert [one["by"] for one in seen] == [None, "seed"]
    problem(front.get("/endpoints/flan-t5/timeline", FALCONER), 403, "scope_missing")


def test_an_unknown_price_is_null_on_a_receipt_and_never_zero(two):
    two.world.top_up(10)
    two.world.wind(5 * MINUTE)
    body = two.get("/endpoints/flan-t5/receipt").json()
    unknown = ("price_per_hour", "cost", "known_cost", "always_on_cost", "saved")
    assert [body[name] for name in unknown] == [None] * 5
    assert body["unpriced_hours"] == body["hours_on"] > 0
    assert body["parts"][0]["cost"] is body["runs"][0]["cost"] is None


def test_a_receipt_is_for_the_period_that_is_asked_for(front):
    front.world.top_up(60)
    front.world.wind(30 * MINUTE)

    def receipt(**period: str) -> dict:
        return front.get("/endpoints/flan-t5/receipt", params=period).json()

    quarter = {"from": "2026-06-22T12:10", "to": "2026-06-22T14:25:00+02:00"}
    body = receipt(**quarter)
    assert (body["from"], body["to"]) == ("2026-06-22T12:10:00Z", "2026-06-22T12:25:00Z")
    assert body["hours_on"] == 0.25
    assert receipt(**{"from": "2026-06-22"})["from"] == "2026-06-22T12:00:00Z"  # its first line
    assert receipt(to="2027-01-01")["to"] == "2026-06-22T12:30:00Z"
    empty = receipt(**{"from": "2026-06-01", "to": "2026-06-02"})
    assert (empty["hours_on"], empty["cost"], empty["runs"]) == (0, "0.0000", [])


@pytest.mark.parametrize(
    ("period", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"to": ""}, "to"),
        ({"to": "0001-01-01T00:00:00+14:00"}, "to"),
        ({"from": "2026-06-22T12:00:00 02:00"}, "from"),
        ({"from": "2026-06-22", "to": "2026-06-21"}, "from"),
        ({"from": "2030-01-01"}, "from"),
    ],
)
def test_a_period_that_is_none_is_refused(front, period, field):
    body = problem(front.get("/endpoints/flan-t5/receipt", params=period), 400, "invalid_request")
    assert body["field"] == field


def test_a_receipt_is_for_tokens_that_cover_the_endpoint(two):
    problem(two.get("/endpoints/flan-t5/receipt", FALCONER), 403, "scope_missing")
    problem(two.get("/endpoints/llama/receipt"), 404, "unknown_endpoint")
    problem(two.client.get("/endpoints/flan-t5/receipt"), 401, "token_missing")


# ── Devices ──────────────────────────────────────────────────────────────────────────────────────


def test_a_top_up_on_a_held_device_is_a_409_that_says_by_whom_and_until_when():
    front = front_of(Spec("flan-t5", device="gpu0"), Spec("falcon", device="gpu0"))
    front.post("/endpoints/flan-t5/top-ups", {"minutes": 10})
    front.world.wind(MINUTE)
    seen = front.get("/endpoints/flan-t5").json()
    for path, body in (
        ("/endpoints/falcon/top-ups", {"minutes": 10}),
        ("/endpoint-expiry", {"minutes": 10, "EndpointName": "falcon"}),
    ):
        said = problem(front.post(path, body), 409, "device_busy")
        assert (said["device"], said["endpoint"]) == ("gpu0", "flan-t5")
        assert (said["expires_at"], said["closes_at"]) == (seen["expires_at"], seen["closes_at"])
    assert front.get("/endpoints/falcon").json()["status"] == "stopped"


# ── Bad input ────────────────────────────────────────────────────────────────────────────────────


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


def test_over_a_limit_the_answer_says_the_limit_and_what_fits(front):
    body = problem(front.post("/endpoint-expiry", {"minutes": 1441}), 422, "limit_exceeded")
    assert (body["limit_minutes"], body["fits_minutes"]) == (1440, 1440)


def test_what_nobody_foresaw_is_a_500_without_a_word_about_us(front, monkeypatch):
    def broken(name: str) -> None:
        raise RuntimeError("secret internals at arn:aws:123456789012")

    monkeypatch.setattr(front.world.store, "meters", broken)
    response = front.get("/endpoints")
    problem(response, 500, "internal")
    assert "123456789012" not in response.text


# ── What is written about it ─────────────────────────────────────────────────────────────────────


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


def test_the_docs_page_shows_calls_to_copy(front):
    page = front.client.get("/docs").text
    assert "curl http://testserver/endpoints/flan-t5/top-ups" in page
    assert "<script" not in page


def test_the_docs_page_loads_nothing_and_runs_nothing(front):
    headers = front.client.get("/docs").headers
    policy = dict(
        part.partition(" ")[::2] for part in headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert "script-src" not in policy
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
