"""Status, top-up and eject by HTTP."""

from datetime import timedelta
from decimal import Decimal

import pytest

from parkmeter.core.meter import Spec
from tests.support.control_routes import ADMIN, FALCONER, LOOKER, front_of, problem
from tests.support.world import MINUTE, SECOND, spec


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
