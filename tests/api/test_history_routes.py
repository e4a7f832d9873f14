"""Journal, receipt and timeline by HTTP."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from starlette.testclient import TestClient

from parkmeter.api.app import control_app
from parkmeter.api.dependencies import ApiContext
from parkmeter.core.money import Minutes
from parkmeter.core.receipt import QueueUse
from parkmeter.core.request_counts import Count
from parkmeter.core.tokens import Scope
from parkmeter.service.changes import Actor
from parkmeter.web.auth import TokenBook
from tests.support.control_routes import ADMIN, FALCONER, LOOKER, SEED, problem, token
from tests.support.world import MINUTE, NOON, SECOND


def test_the_journal_is_newest_first_and_pages(front):
    for _ in range(5):
        front.post("/endpoints/flan-t5/top-ups", {"minutes": 1})
    page = front.get("/endpoints/flan-t5/journal", params={"limit": 2}).json()
    assert [line["number"] for line in page["lines"]] == [5, 4]
    assert page["lines"][0]["by"] == "admin"
    rest = front.get("/endpoints/flan-t5/journal", params={"before": page["before"]}).json()
    assert [line["number"] for line in rest["lines"]] == [3, 2, 1]
    assert rest["before"] is None


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


def test_the_use_of_a_queue_is_a_row_after_the_total_which_does_not_contain_it(front):
    front.world.service.top_up("flan-t5", Minutes.of(30), Actor("x", "ada"))
    front.world.wind(20 * MINUTE)
    use = QueueUse(timedelta(minutes=30), Decimal("7.09"))
    book = TokenBook([token("admin-pass-code", frozenset(Scope))])
    control = ApiContext(front.world.service, book, str, lambda: NOON, queue_use=lambda *_: use)
    with_queue = TestClient(control_app(control))
    text = with_queue.get(
        "/endpoints/flan-t5/receipt.csv", headers={"Authorization": "admin-pass-code"}
    ).text
    headings, *rows = [line.split(",") for line in text.splitlines()]
    assert [row[0] for row in rows] == ["buyer", "total", "queue"]
    assert {len(row) for row in rows} == {len(headings)}
    queue = dict(zip(headings, rows[-1], strict=True))
    assert (queue["hours_on"], queue["cost"]) == ("0.500000", "3.5450")
    without = front.get("/endpoints/flan-t5/receipt.csv").text
    assert text.startswith(without)


def test_a_csv_has_nothing_for_an_unknown_price_and_no_name_becomes_a_formula(two):
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
    assert said["requests"] is None
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

    book = TokenBook([token("admin-pass-code", frozenset(Scope))])
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
