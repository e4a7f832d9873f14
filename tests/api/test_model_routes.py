"""`GET /v1/models`: one object for the clients of OpenAI and Anthropic, whatever the state."""

import json
from datetime import timedelta
from decimal import Decimal

import httpx2
import openai
import pytest
from starlette.testclient import TestClient

from parkmeter.api.app import control_app
from parkmeter.api.dependencies import ApiContext
from parkmeter.api.model_routes import add_model_routes
from parkmeter.core.meter import LOCAL, MAKE_BELIEVE, Price, Spec
from parkmeter.core.time_text import iso
from parkmeter.core.tokens import Scope
from parkmeter.web.auth import TokenBook
from parkmeter.web.model_ids import LearnedIds
from parkmeter.web.routes import Route, Routes
from tests.support.control_routes import ADMIN, FALCONER, LOOKER, Front, problem, token
from tests.support.world import MINUTE, NOON, SECOND, World, spec


@pytest.fixture
def learned() -> LearnedIds:
    return LearnedIds()


@pytest.fixture
def front(learned) -> Front:
    world = World(spec(price_per_hour=Decimal("7.09")), Spec("falcon"))
    tokens = [
        token("admin-pass-code", frozenset(Scope)),
        token("looker-pass-code", frozenset()),
        token("falcon-pass-code", endpoints=frozenset({"falcon"})),
    ]
    resources = {"flan-t5": "flan", "falcon": "falcon"}.__getitem__
    context = ApiContext(world.service, TokenBook(tokens), resources, lambda: world.now)
    app = control_app(context)
    routes = Routes(
        [
            Route("flan-t5", "flan", aliases=("gpt-4o-mini",), models=("google/flan-t5-xl",)),
            Route("falcon", "falcon"),
        ]
    )
    add_model_routes(app, context, lambda: learned.ids(routes))
    return Front(world, TestClient(app, raise_server_exceptions=False))


def ids(reply) -> list[str]:
    return [model["id"] for model in reply.json()["data"]]


def test_a_made_up_price_is_shown_as_unknown_because_its_source_has_no_place(learned):
    made_up = Spec("flan-t5", prices={LOCAL: Price(Decimal("1.20"), MAKE_BELIEVE)})
    world = World(made_up)
    tokens = [token("admin-pass-code", frozenset(Scope))]
    context = ApiContext(
        world.service, TokenBook(tokens), {"flan-t5": "flan"}.__getitem__, lambda: world.now
    )
    app = control_app(context)
    add_model_routes(app, context, lambda: learned.ids(Routes([Route("flan-t5", "flan")])))
    (model,) = Front(world, TestClient(app)).get("/v1/models").json()["data"]
    assert model["parkmeter"]["price_per_hour"] is None


def test_a_closed_endpoint_is_listed_by_each_of_its_ids_with_its_meter(front):
    listed = front.get("/v1/models").json()
    assert [model["id"] for model in listed["data"]] == [
        "flan-t5",
        "gpt-4o-mini",
        "google/flan-t5-xl",
        "falcon",
    ]
    assert (listed["object"], listed["has_more"]) == ("list", False)
    assert (listed["first_id"], listed["last_id"]) == ("flan-t5", "falcon")
    assert listed["data"][1] == {
        "id": "gpt-4o-mini",
        "object": "model",
        "created": int(NOON.timestamp()),
        "owned_by": "parkmeter",
        "type": "model",
        "display_name": "gpt-4o-mini (flan-t5)",
        "created_at": iso(NOON),
        "parkmeter": {
            "endpoint": "flan-t5",
            "status": "stopped",
            "reason": "no time on the meter: top up to start it",
            "seconds_left": 0.0,
            "price_per_hour": 7.09,
            "usual_start_seconds": None,
        },
    }


def test_the_usual_start_is_shown_whatever_the_endpoint_does_now(front):
    front.world.driver.start_takes = 20 * SECOND
    front.world.top_up(10)
    front.world.wind(MINUTE)
    meter = front.get("/v1/models/flan-t5").json()["parkmeter"]
    assert meter["status"] == "running"
    assert 20 <= meter["usual_start_seconds"] < 21
    assert 500 < meter["seconds_left"] < 600


def test_looking_is_no_use_and_buys_nothing(front):
    for path in ("/v1/models", "/v1/models/flan-t5", "/flan/v1/models"):
        assert front.get(path).status_code == 200
        assert front.client.head(path, headers=ADMIN).status_code == 200
    assert front.world.left() == timedelta(0)
    assert [entry.kind for entry in front.world.service.journal("flan-t5", 9)] == []


def test_a_token_sees_its_own_endpoints_and_needs_no_scope(front, learned):
    learned.learn("falcon", ("tii/falcon",))
    assert ids(front.get("/v1/models", FALCONER)) == ["falcon", "tii/falcon"]
    assert len(ids(front.get("/v1/models", LOOKER))) == 5
    problem(front.client.get("/v1/models"), 401, "token_missing")


def test_a_model_has_its_id_with_slashes_and_another_ones_is_unknown(front):
    assert front.get("/v1/models/google/flan-t5-xl").json()["parkmeter"]["endpoint"] == "flan-t5"
    assert front.get("/v1/models/google%2Fflan-t5-xl").status_code == 200
    unknown = [
        problem(front.get(f"/v1/models/{id_}", FALCONER), 404, "model_not_found")
        for id_ in ("flan-t5", "gpt-4o-mini", "nothing")
    ]
    assert [one["endpoints"] for one in unknown] == [["falcon"]] * 3
    assert "It may use: falcon." in unknown[0]["detail"]


def test_an_id_of_two_servers_is_the_open_ones(front, learned):
    learned.learn("falcon", ("both",))
    learned.learn("flan-t5", ("both",))
    problem(front.get("/v1/models/both"), 409, "model_ambiguous")
    front.post("/endpoints/falcon/top-ups", {"minutes": 10})
    assert front.get("/v1/models/both").json()["parkmeter"]["endpoint"] == "falcon"
    assert ids(front.get("/v1/models")).count("both") == 1


def test_below_an_endpoint_stand_the_ids_that_its_own_server_knows(front, learned):
    assert ids(front.get("/flan/v1/models")) == ["google/flan-t5-xl"]
    assert ids(front.get("/falcon/v1/models")) == ["falcon"], "until it has listed some"
    learned.learn("falcon", ("tii/falcon",))
    assert ids(front.get("/falcon/v1/models")) == ["tii/falcon"]
    assert front.get("/falcon/v1/models/tii/falcon").json()["type"] == "model"
    problem(front.get("/falcon/v1/models/x"), 404, "model_not_found")
    problem(front.get("/flan/v1/models", FALCONER), 403, "scope_missing")
    problem(front.get("/nothing/v1/models"), 404, "not_found")


def test_openais_client_reads_the_list(front):
    def answer(request: httpx2.Request) -> httpx2.Response:
        reply = front.get(request.url.raw_path.decode(), dict(request.headers))
        return httpx2.Response(reply.status_code, content=reply.content, headers=reply.headers)

    client = openai.OpenAI(
        base_url="http://testserver/v1",
        api_key="admin-pass-code",
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )
    models = client.models.list().data
    assert [model.id for model in models][:2] == ["flan-t5", "gpt-4o-mini"]
    assert models[0].owned_by == "parkmeter"
    assert client.models.retrieve("google/flan-t5-xl").model_extra["parkmeter"]["endpoint"]
    assert json.loads(models[0].model_dump_json())["created"] == int(NOON.timestamp())
