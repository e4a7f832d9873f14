"""`/endpoint-expiry` keeps the contract of the AWS sample."""

import re
from datetime import timedelta

from tests.support.control_routes import (
    ADMIN,
    FALCONER,
    problem,
)
from tests.support.world import MINUTE


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


def test_a_token_for_one_endpoint_tops_up_no_other_in_the_ancestors_words_either(two):
    body = {"minutes": 1, "EndpointName": "flan-t5"}
    problem(two.post("/endpoint-expiry", body, FALCONER), 403, "scope_missing")
    unnamed = problem(
        two.post("/endpoint-expiry", {"minutes": 1}, FALCONER), 400, "invalid_request"
    )
    assert "flan-t5" not in unnamed["detail"]
    assert two.world.left("flan-t5") == timedelta(0)
