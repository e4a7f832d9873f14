"""Tokens by HTTP, over a whole parkmeter on a wound clock."""

import json
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from parkmeter.api.app import control_app
from parkmeter.api.dependencies import ApiContext
from parkmeter.api.token_routes import add_audit_route, add_token_routes
from parkmeter.core.meter import Spec
from parkmeter.core.tokens import Scope, Token, digest_of
from parkmeter.service.audit import Audit
from parkmeter.service.tokens import TokenService
from parkmeter.web.auth import TokenBook
from tests.support.world import NOON, World

ADMIN = {"Authorization": "admin-pass-code"}


class Front:
    """The routes over a store in memory, and a token book kept in step with it."""

    def __init__(self) -> None:
        self.world = World(Spec("flan-t5"), Spec("falcon"))
        store = self.world.store
        store.put_token(
            Token("first", digest_of("admin-pass-code"), "admin", NOON, frozenset(Scope))
        )
        book = TokenBook(store.tokens())
        control = ApiContext(self.world.service, book, str, self.now)
        app = control_app(control)
        issuing = TokenService(
            store, lambda: self.world.service.names, self.now, changed=book.replace
        )
        self.cut: list[str] = []
        add_token_routes(app, control, issuing, self.cut.append)
        add_audit_route(app, control, Audit(store, self.now))
        self.client = TestClient(app, raise_server_exceptions=False)

    def now(self):
        return self.world.now

    def issue(self, **order: object):
        return self.client.post("/tokens", json=order, headers=ADMIN)

    def as_holder(self, secret: str, path: str, **body: object):
        return self.client.post(path, json=body, headers={"Authorization": f"Bearer {secret}"})


@pytest.fixture
def front() -> Front:
    return Front()


def test_what_was_ordered_is_answered_with_the_secret_and_listed_without(front):
    answer = front.issue(
        name="ada",
        scopes=["top-up", "invoke", "invoke"],
        endpoints=["falcon"],
        expires_at="2026-06-23T14:00:00+02:00",
        minutes_per_day=90,
    )
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    issued = answer.json()
    assert issued.pop("token").startswith("pm_")
    assert issued == {
        "id": issued["id"],
        "name": "ada",
        "scopes": ["invoke", "top-up"],
        "endpoints": ["falcon"],
        "created_at": "2026-06-22T12:00:00Z",
        "expires_at": "2026-06-23T12:00:00Z",
        "minutes_per_day": 90.0,
        "speaks_for_others": False,
    }
    listed = front.client.get("/tokens", headers=ADMIN).json()["tokens"]
    assert listed[1] == issued
    assert listed[0]["scopes"] == ["invoke", "top-up", "admin"]


def test_a_name_is_all_that_is_needed(front):
    issued = front.issue(name="ada").json()
    assert issued["scopes"] == ["invoke", "top-up"]
    assert issued["endpoints"] is issued["expires_at"] is issued["minutes_per_day"] is None


@pytest.mark.parametrize(
    ("field", "order"),
    [
        ("name", {}),
        ("name", {"name": None}),
        ("name", {"name": 5}),
        ("name", {"name": ""}),
        ("scopes.0", {"scopes": ["root"]}),
        ("scopes.0", {"scopes": [None]}),
        ("scopes", {"scopes": "admin"}),
        ("endpoints", {"endpoints": ["llama"]}),
        ("endpoints", {"endpoints": []}),
        ("endpoints", {"endpoints": "falcon"}),
        ("expires_at", {"expires_at": "2026-06-22T12:00:00Z"}),
        ("expires_at", {"expires_at": "2026-07-22T12:00:00"}),
        ("expires_at", {"expires_at": "tomorrow"}),
        ("expires_at", {"expires_at": "9999-12-31T23:59:59-09:00"}),
        ("minutes_per_day", {"minutes_per_day": 0}),
        ("minutes_per_day", {"minutes_per_day": "60"}),
        ("minutes_per_day", {"minutes_per_day": True}),
        ("minutes_per_day", {"minutes_per_day": 1e999}),
        ("token", {"token": "my-own"}),
        ("id", {"id": "first"}),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(front, field, order):
    body = {"name": "ada", **order} if field != "name" else order
    answer = front.client.post("/tokens", content=json.dumps(body), headers=ADMIN)
    assert (answer.status_code, answer.json()["field"]) == (400, field), answer.json()
    assert len(front.client.get("/tokens", headers=ADMIN).json()["tokens"]) == 1


def test_a_name_that_is_taken_and_the_last_admin_are_conflicts(front):
    taken = front.issue(name="admin")
    assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
    last = front.client.delete("/tokens/first", headers=ADMIN)
    assert (last.status_code, last.json()["code"]) == (409, "last_admin")


def test_a_token_may_revoke_itself(front):
    issued = front.issue(name="boss", scopes=["admin"]).json()
    holder = {"Authorization": issued["token"]}
    gone = front.client.delete(f"/tokens/{issued['id']}", headers=holder)
    assert (gone.status_code, gone.content) == (204, b"")
    assert front.client.get("/tokens", headers=holder).json()["code"] == "token_refused"
    again = front.client.delete(f"/tokens/{issued['id']}", headers=ADMIN)
    assert (again.status_code, again.json()["code"]) == (404, "unknown_token")


def test_expiry_and_minutes_of_the_day_hold_for_an_issued_token(front):
    secret = front.issue(name="ada", expires_at="2026-06-22T13:00:00Z", minutes_per_day=20).json()[
        "token"
    ]
    path = "/endpoints/falcon/top-ups"
    assert front.as_holder(secret, path, minutes=15).status_code == 201
    over = front.as_holder(secret, path, minutes=6)
    assert (over.status_code, over.json()["left_minutes"]) == (429, 5)
    front.world.wind(timedelta(hours=1))
    late = front.as_holder(secret, path, minutes=1)
    assert (late.status_code, late.json()["code"]) == (403, "token_refused")


def test_an_admin_of_one_endpoint_cannot_issue_itself_the_others(front):
    secret = front.issue(name="some", scopes=["admin"], endpoints=["falcon"]).json()["token"]
    refused = front.as_holder(secret, "/tokens", name="mine", scopes=["admin"])
    assert refused.status_code == 403
    assert refused.json()["detail"] == (
        "The scope 'admin' is needed on all endpoints. A holder of the scope 'admin' makes a token "
        "that has it: parkmeter token create NAME --scope admin"
    )


def test_a_rotated_secret_replaces_the_one_before_at_once(front):
    issued = front.issue(name="ada", minutes_per_day=20).json()
    path = "/endpoints/falcon/top-ups"
    assert front.as_holder(issued["token"], path, minutes=15).status_code == 201
    answer = front.client.post(f"/tokens/{issued['id']}/rotate", headers=ADMIN)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    rotated = answer.json()
    old, new = issued.pop("token"), rotated.pop("token")
    assert rotated == issued
    assert front.as_holder(old, path, minutes=1).json()["code"] == "token_refused"
    assert front.as_holder(new, path, minutes=6).json()["left_minutes"] == 5, "the budget stays"
    assert front.client.post("/tokens/none/rotate", headers=ADMIN).status_code == 404


def test_requests_are_cut_only_where_that_is_asked_for(front):
    ids = [front.issue(name=name).json()["id"] for name in ("a", "b", "c")]
    front.client.delete(f"/tokens/{ids[0]}", headers=ADMIN)
    front.client.delete(f"/tokens/{ids[1]}?cut=true", headers=ADMIN)
    front.client.post(f"/tokens/{ids[2]}/rotate?cut=true", headers=ADMIN)
    front.client.delete("/tokens/none?cut=true", headers=ADMIN)
    assert front.cut == ids[1:]


def test_the_audit_names_who_did_what_and_pages_backwards(front):
    for name in ("a", "b", "c"):
        front.issue(name=name)
    first = front.client.get("/audit?limit=2", headers=ADMIN).json()
    assert [line["what"].partition(":")[0] for line in first["lines"]] == ["c", "b"]
    assert first["lines"][0] == first["lines"][0] | {
        "at": "2026-06-22T12:00:00Z",
        "action": "token.issued",
        "by": "admin",
        "by_id": "first",
    }
    rest = front.client.get(f"/audit?before={first['before']}", headers=ADMIN).json()
    assert [line["what"].partition(":")[0] for line in rest["lines"]] == ["a"]
    assert rest["before"] is None
    whole = front.client.get("/audit?limit=3", headers=ADMIN).json()
    assert (len(whole["lines"]), whole["before"]) == (3, None)


# ── Tokens that speak for others ────────────────────────────────────────────────────────────────


def test_an_application_s_token_names_the_person_in_journal_and_receipt_and_no_other_does(front):
    token = front.issue(name="webui", speaks_for_others=True).json()
    assert token["speaks_for_others"] is True
    other = front.issue(name="eve").json()
    assert other["speaks_for_others"] is False
    for secret, key in ((token["token"], "one"), (other["token"], "two")):
        answer = front.client.post(
            "/endpoints/flan-t5/top-ups",
            json={"minutes": 5},
            headers={
                "X-Api-Key": secret,
                "X-OpenWebUI-User-Email": "ada@example.org",
                "Idempotency-Key": key,
            },
        )
        assert answer.status_code == 201
    lines = front.client.get("/endpoints/flan-t5/journal", headers=ADMIN).json()["lines"]
    assert [line["by"] for line in lines] == ["eve", "ada@example.org by webui"]
    front.world.wind(timedelta(minutes=1))
    receipt = front.client.get("/endpoints/flan-t5/receipt", headers=ADMIN).json()
    assert {part["who"] for part in receipt["parts"]} == {"eve", "ada@example.org by webui"}
    audit = front.client.get("/audit", headers=ADMIN).json()["lines"]
    assert [line["what"].endswith("speaks for others") for line in audit] == [False, True]


def test_the_minutes_a_day_of_such_a_token_are_those_of_all_its_persons(front):
    token = front.issue(name="webui", speaks_for_others=True, minutes_per_day=8).json()["token"]
    answers = [
        front.client.post(
            "/endpoints/flan-t5/top-ups",
            json={"minutes": 5},
            headers={"Authorization": token, "X-OpenWebUI-User-Email": f"{person}@example.org"},
        )
        for person in ("ada", "bob")
    ]
    assert [answer.status_code for answer in answers] == [201, 429]


def test_a_name_sent_twice_changes_nothing(front):
    token = front.issue(name="webui", speaks_for_others=True).json()["token"]
    fields = [
        ("Authorization", token),
        *[("X-OpenWebUI-User-Email", "a"), ("X-OpenWebUI-User-Email", "b")],
    ]
    answer = front.client.post("/endpoints/flan-t5/top-ups", json={"minutes": 5}, headers=fields)
    assert (answer.status_code, answer.json()["field"]) == (400, "x-openwebui-user-email")
    assert front.client.get("/endpoints/flan-t5/journal", headers=ADMIN).json()["lines"] == []
