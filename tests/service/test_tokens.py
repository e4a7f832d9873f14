"""The use cases of tokens, over a store in memory."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from parkmeter.core.audit import Action
from parkmeter.core.tokens import DEFAULT_SCOPES, Scope, Token, digest_of
from parkmeter.errors import (
    InvalidRequestError,
    LastAdminError,
    NameTakenError,
    UnknownTokenError,
)
from parkmeter.service.changes import Actor
from parkmeter.service.tokens import FixedTokenError, TokenRequest, TokenService
from parkmeter.stores.memory import MemoryStore
from tests.support.world import NOON


class Home:
    """A store with one token that may do everything, and the service that issues others."""

    def __init__(self) -> None:
        self.time = NOON
        self.store = MemoryStore()
        self.store.put_token(Token("first", digest_of("one"), "first", NOON, frozenset(Scope)))
        self.notified: list[list[str]] = []
        self.rotated: list[tuple[str, str]] = []
        self.fixed = ""
        self.service = TokenService(
            self.store,
            lambda: ["flan-t5", "falcon"],
            lambda: self.time,
            changed=lambda tokens: self.notified.append([token.name for token in tokens]),
            rotated=lambda before, secret: self.rotated.append((before.digest, secret)),
            fixed=lambda token: token.id == self.fixed,
        )

    def issue(self, name: str = "ada", **order: object) -> Token:
        return self.service.issue(TokenRequest(name, **order))[0]


@pytest.fixture
def home() -> Home:
    return Home()


def test_a_default_token_is_like_the_ancestors_pass_code(home):
    token, secret = home.service.issue(TokenRequest("ada"))
    assert token.scopes == DEFAULT_SCOPES
    assert (token.endpoints, token.expires_at, token.minutes_per_day) == (None, None, None)
    assert token.digest == digest_of(secret)
    assert secret.startswith("pm_")
    assert home.store.tokens()[-1] == token


def test_the_callback_gets_all_tokens_after_each_change(home):
    token = home.issue()
    home.service.revoke(token.id)
    assert home.notified == [["first", "ada"], ["first"]]


def test_requested_properties_are_stored(home):
    later = NOON + timedelta(days=1)
    token = home.issue(
        scopes=frozenset({Scope.INVOKE}),
        endpoints=frozenset({"falcon"}),
        expires_at=later.astimezone(timezone(timedelta(hours=9))),
        minutes_per_day=90.0,
    )
    assert token.scopes == {Scope.INVOKE}
    assert token.endpoints == {"falcon"}
    assert token.expires_at == later
    assert token.expires_at.tzinfo is UTC
    assert token.minutes_per_day == 90


@pytest.mark.parametrize(
    ("field", "order"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "   "}),
        ("name", {"name": "a" * 65}),
        ("name", {"name": "ada\nparkmeter"}),
        ("name", {"name": "ada\x1b[2J"}),
        ("name", {"name": "\ud800"}),
        ("name", {"name": "parkmeter"}),
        ("name", {"name": "Parkmeter "}),
        ("name", {"name": "p\u0430rkmeter"}),
        ("name", {"name": "operator\u200b"}),
        ("name", {"name": "Link in a  warning"}),
        ("name", {"name": "ada\ufe0f"}),
        ("endpoints", {"endpoints": frozenset()}),
        ("endpoints", {"endpoints": frozenset({"flan-t5", "llama"})}),
        ("expires_at", {"expires_at": NOON}),
        ("expires_at", {"expires_at": datetime.max.replace(tzinfo=timezone(-timedelta(hours=9)))}),
        ("minutes_per_day", {"minutes_per_day": 0.0}),
        ("minutes_per_day", {"minutes_per_day": -1.0}),
        ("minutes_per_day", {"minutes_per_day": float("nan")}),
        ("minutes_per_day", {"minutes_per_day": float("inf")}),
        ("minutes_per_day", {"minutes_per_day": 1e300}),
    ],
)
def test_an_invalid_field_is_refused_by_name_and_nothing_changes(home, field, order):
    with pytest.raises(InvalidRequestError) as refused:
        home.issue(**order)
    assert refused.value.data == {"field": field}
    assert len(home.store.tokens()) == 1
    assert home.notified == []


def test_a_name_belongs_to_one_token_until_that_is_revoked(home):
    ada = home.issue(expires_at=NOON + timedelta(hours=1))
    home.time += timedelta(hours=2)
    with pytest.raises(NameTakenError) as refused:
        home.issue()
    assert refused.value.data == {"id": ada.id}
    home.service.revoke(ada.id)
    assert home.issue().id != ada.id


def test_an_unknown_id_is_refused(home):
    with pytest.raises(UnknownTokenError):
        home.service.revoke("unknown")


def test_the_last_token_that_may_issue_others_stays(home):
    home.issue("some", scopes=frozenset(Scope), endpoints=frozenset({"falcon"}))
    soon = home.issue("soon", scopes=frozenset(Scope), expires_at=NOON + timedelta(hours=1))
    home.time += timedelta(hours=1)
    with pytest.raises(LastAdminError):
        home.service.revoke("first")
    home.service.revoke(soon.id)
    other = home.issue("other", scopes=frozenset({Scope.ADMIN}))
    home.service.revoke("first")
    with pytest.raises(LastAdminError):
        home.service.revoke(other.id)


@pytest.mark.parametrize("twin", ["ADA", "\u0430da", "\uff41da", "ada  "])
def test_a_name_that_looks_like_another_is_taken(home, twin):
    ada = home.issue()
    with pytest.raises(NameTakenError) as refused:
        home.issue(twin)
    assert refused.value.data == {"id": ada.id}


def test_a_rotated_token_has_a_new_secret_and_is_otherwise_the_same(home):
    token, secret = home.service.issue(TokenRequest("ada", minutes_per_day=30.0))
    rotated, fresh = home.service.rotate(token.id)
    assert fresh != secret
    assert rotated.digest == digest_of(fresh)
    assert replace(rotated, digest=token.digest) == token
    assert home.store.tokens()[-1] == rotated
    assert home.rotated == [(token.digest, fresh)]
    assert home.notified[-1] == ["first", "ada"]
    with pytest.raises(UnknownTokenError):
        home.service.rotate("unknown")


def test_a_secret_that_is_set_from_outside_is_not_rotated(home):
    home.fixed = "first"
    with pytest.raises(FixedTokenError, match="PARKMETER_BOOTSTRAP_TOKEN"):
        home.service.rotate("first")
    assert home.store.tokens()[0].digest == digest_of("one")


def test_each_change_of_a_token_is_in_the_audit_without_a_secret(home, caplog):
    caplog.set_level("INFO", logger="parkmeter.audit")
    owner = Actor("first", "first")
    token, secret = home.service.issue(TokenRequest("ada", minutes_per_day=30.0), owner)
    _, fresh = home.service.rotate(token.id, owner)
    home.service.revoke(token.id, owner)
    records = home.store.audit(10)[::-1]
    assert [record.action for record in records] == [
        Action.TOKEN_ISSUED,
        Action.TOKEN_ROTATED,
        Action.TOKEN_REVOKED,
    ]
    assert {(record.who, record.who_id, record.subject) for record in records} == {
        ("first", "first", token.id)
    }
    assert records[0].what == (
        "ada: scopes invoke, top-up; endpoints all; expires never; 30 minutes a day"
    )
    lines = [json.loads(record.message) for record in caplog.records]
    assert [line["action"] for line in lines] == [record.action for record in records]
    said = json.dumps(lines) + repr(records)
    assert not any(part in said for part in (secret, fresh, token.digest))


def test_a_change_that_is_refused_is_in_no_audit(home):
    with pytest.raises(LastAdminError):
        home.service.revoke("first")
    with pytest.raises(NameTakenError):
        home.issue("first")
    assert home.store.audit(10) == []
