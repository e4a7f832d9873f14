"""What answers used, by HTTP: by token, on the receipt, on the timeline."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from starlette.testclient import TestClient

from parkmeter.api.app import control_app
from parkmeter.api.dependencies import ApiContext
from parkmeter.core.tokens import Scope
from parkmeter.core.usage import NOTHING, Used, UsedAt, per_million
from parkmeter.web.auth import TokenBook
from tests.support.control_routes import ADMIN, FALCONER, LOOKER, SEED, Front, problem, token
from tests.support.world import MINUTE, NOON


class Usage:
    """`ports.UsageCounts` over a list of uses."""

    def __init__(self, since: datetime = NOON) -> None:
        self.began = since
        self.uses: list[tuple[datetime, str, Used]] = []

    def since(self) -> datetime:
        return self.began

    def used_by(self, name: str, begin: datetime, end: datetime) -> Mapping[str, Used]:
        assert name == "flan-t5"
        found: dict[str, Used] = {}
        for at, who, used in self.uses:
            if begin <= at < end:
                found[who] = found.get(who, NOTHING) + used
        return found

    def used_at(
        self, name: str, begin: datetime, end: datetime, slot: timedelta
    ) -> Sequence[UsedAt]:
        assert (name, slot) == ("flan-t5", MINUTE)
        return [UsedAt(at, used) for at, _, used in self.uses if begin <= at < end]


@pytest.fixture
def usage(front) -> Usage:
    """The usage of a front whose meter was topped up at noon and closed an hour later."""
    usage = Usage()
    book = TokenBook(
        [
            token("admin-pass-code", frozenset(Scope)),
            token("seed-pass-code"),
            token("looker-pass-code", frozenset()),
            token("falcon-pass-code", endpoints=frozenset({"falcon"})),
            token("webui-pass-code", speaks_for_others=True),
        ]
    )
    control = ApiContext(front.world.service, book, str, lambda: front.world.now, usage=usage)
    front.client = TestClient(control_app(control), raise_server_exceptions=False)
    front.world.driver.stop_takes = timedelta(0)
    front.post("/endpoints/flan-t5/top-ups", {"minutes": 60})
    front.world.wind(90 * MINUTE)
    usage.uses = [
        (NOON + 10 * MINUTE, "seed", Used(2, 0, 1_000_000, 300_000)),
        (NOON + 20 * MINUTE, "admin", Used(1, 1, 400_000, 200_000)),
        (NOON + 30 * MINUTE, "seed", Used(0, 3)),
    ]
    return usage


def asked(front: Front, what: str, headers: dict[str, str] = ADMIN, **period: str) -> dict:
    return front.get(f"/endpoints/flan-t5/{what}", headers, params=period).json()


def test_usage_is_shown_by_token_to_admins_and_to_others_their_own(front, usage):
    seed = {
        "who": "seed",
        "input_tokens": 1_000_000,
        "output_tokens": 300_000,
        "answers": 2,
        "unknown": 3,
    }
    whole = asked(front, "usage")
    assert [part["who"] for part in whole["parts"]] == ["seed", "admin"]
    assert whole["parts"][0] == seed
    assert (whole["input_tokens"], whole["answers"], whole["unknown"]) == (1_400_000, 3, 4)
    assert (whole["from"], whole["to"], whole["since"]) == (
        "2026-06-22T12:00:00Z",
        "2026-06-22T13:30:00Z",
        "2026-06-22T12:00:00Z",
    )
    own = asked(front, "usage", SEED)
    assert own["parts"] == [seed]
    assert own["input_tokens"] == 1_000_000
    looker = asked(front, "usage", LOOKER)
    assert (looker["parts"], looker["input_tokens"], looker["answers"]) == ([], None, 0)
    problem(front.get("/endpoints/flan-t5/usage", FALCONER), 403, "scope_missing")
    problem(front.get("/endpoints/llama/usage"), 404, "unknown_endpoint")


def test_a_token_that_speaks_for_a_person_is_shown_its_own_usage(front, usage):
    usage.uses = [(NOON, "webui", Used(1, 0, 10, 20)), (NOON, "ada by webui", Used(1, 0, 1, 2))]
    webui = {"Authorization": "webui-pass-code", "X-OpenWebUI-User-Email": "ada"}
    assert [part["who"] for part in asked(front, "usage", webui)["parts"]] == ["webui"]


def test_usage_of_a_period(front, usage):
    part = asked(front, "usage", **{"from": "2026-06-22T12:25", "to": "2026-06-22T12:31"})
    assert (part["input_tokens"], part["unknown"]) == (None, 3)  # unknown is not zero
    assert (part["from"], part["to"]) == ("2026-06-22T12:25:00Z", "2026-06-22T12:31:00Z")
    assert asked(front, "usage", **{"from": "2020-01-01"})["from"] == "2026-06-22T12:00:00Z"
    assert asked(front, "usage", to="2026-06-01")["parts"] == []
    for wrong in ({"from": "2027-01-01"}, {"from": "yesterday"}):
        answer = front.get("/endpoints/flan-t5/usage", params=wrong)
        assert problem(answer, 400, "invalid_request")["field"] == "from"


def test_a_receipt_has_the_tokens_of_its_period_and_what_a_million_cost(front, usage):
    said = asked(front, "receipt")
    cost = Decimal(said["cost"])
    assert said["usage"] == {
        "since": "2026-06-22T12:00:00Z",
        "input_tokens": 1_400_000,
        "output_tokens": 500_000,
        "answers": 3,
        "unknown": 4,
        "cost_per_million": f"{per_million(cost, Used(3, 4, 1_400_000, 500_000)):f}",
    }
    assert Decimal(said["usage"]["cost_per_million"]) == (cost / Decimal("1.9")).quantize(
        Decimal("0.0001")
    )
    later = asked(front, "receipt", **{"from": "2026-06-22T12:25"})["usage"]
    assert (later["input_tokens"], later["cost_per_million"], later["unknown"]) == (None, None, 3)


def test_a_receipt_that_begins_before_usage_was_counted_divides_only_the_cost_since(front, usage):
    usage.began = NOON + 15 * MINUTE
    said, since = asked(front, "receipt"), asked(front, "receipt", **{"from": "2026-06-22T12:15"})
    assert said["usage"]["since"] == "2026-06-22T12:15:00Z"
    assert said["usage"] == since["usage"]
    assert Decimal(since["cost"]) < Decimal(said["cost"])
    usage.began = NOON + 120 * MINUTE
    assert asked(front, "receipt")["usage"] is None


def test_a_timeline_has_the_tokens_beside_the_requests(front, usage):
    assert asked(front, "timeline")["tokens"] == [
        {"at": "2026-06-22T12:10:00Z", "input_tokens": 1_000_000, "output_tokens": 300_000},
        {"at": "2026-06-22T12:20:00Z", "input_tokens": 400_000, "output_tokens": 200_000},
    ]


def test_where_usage_is_not_counted_it_is_unknown(front):
    front.post("/endpoints/flan-t5/top-ups", {"minutes": 60})
    front.world.wind(10 * MINUTE)
    assert asked(front, "receipt")["usage"] is asked(front, "timeline")["tokens"] is None
    said = asked(front, "usage")
    assert (said["since"], said["input_tokens"], said["parts"]) == (None, None, [])


def test_an_unknown_cost_makes_that_of_a_million_unknown_and_no_tokens_have_none():
    assert per_million(None, Used(1, 0, 5, 5)) is per_million(Decimal(1), Used(0, 7)) is None
    assert per_million(Decimal(1), Used(1, 0, 0, 0)) is None
    assert per_million(Decimal("0.78"), Used(1, 0, 1_000_000, 900_000)) == Decimal("0.4105")
