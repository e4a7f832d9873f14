"""Tokens as people handle them, over a store in memory."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from parkmeter.core.tokens import DEFAULT_SCOPES, Scope, Token, digest_of
from parkmeter.errors import (
    InvalidRequestError,
    LastAdminError,
    NameTakenError,
    UnknownTokenError,
)
from parkmeter.service.tokens import TokenRequest, TokenService
from parkmeter.stores.memory import MemoryStore
from tests.support.world import NOON


class House:
    """A store with one token that may do everything, and who issues others from it."""

    def __init__(self) -> None:
        self.time = NOON
        self.store = MemoryStore()
        self.store.put_token(Token("first", digest_of("one"), "first", NOON, frozenset(Scope)))
        self.told: list[list[str]] = []
        self.issuing = TokenService(
            self.store,
            lambda: ["flan-t5", "falcon"],
            lambda: self.time,
            changed=lambda tokens: self.told.append([token.name for token in tokens]),
        )

    def issue(self, name: str = "ada", **order: object) -> Token:
        return self.issuing.issue(TokenRequest(name, **order))[0]


@pytest.fixture
def house() -> House:
    return House()


def test_a_token_without_wishes_is_what_the_ancestors_pass_code_was(house):
    token, secret = house.issuing.issue(TokenRequest("ada"))
    assert token.scopes == DEFAULT_SCOPES
    assert (token.endpoints, token.expires_at, token.minutes_per_day) == (None, None, None)
    assert token.digest == digest_of(secret)
    assert secret.startswith("pm_")
    assert house.store.tokens()[-1] == token


def test_whoever_keeps_tokens_in_memory_is_told_of_each_change(house):
    token = house.issue()
    house.issuing.revoke(token.id)
    assert house.told == [["first", "ada"], ["first"]]


def test_wishes_are_kept(house):
    later = NOON + timedelta(days=1)
    token = house.issue(
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
def test_what_cannot_be_is_refused_by_its_name_and_changes_nothing(house, field, order):
    with pytest.raises(InvalidRequestError) as refused:
        house.issue(**order)
    assert refused.value.data == {"field": field}
    assert len(house.store.tokens()) == 1
    assert house.told == []


def test_a_name_belongs_to_one_token_until_that_is_revoked(house):
    ada = house.issue(expires_at=NOON + timedelta(hours=1))
    house.time += timedelta(hours=2)
    with pytest.raises(NameTakenError) as refused:
        house.issue()
    assert refused.value.data == {"id": ada.id}
    house.issuing.revoke(ada.id)
    assert house.issue().id != ada.id


def test_an_id_that_is_none_is_told(house):
    with pytest.raises(UnknownTokenError):
        house.issuing.revoke("nobody")


def test_the_last_token_that_may_issue_others_stays(house):
    house.issue("some", scopes=frozenset(Scope), endpoints=frozenset({"falcon"}))
    soon = house.issue("soon", scopes=frozenset(Scope), expires_at=NOON + timedelta(hours=1))
    house.time += timedelta(hours=1)
    with pytest.raises(LastAdminError):
        house.issuing.revoke("first")
    house.issuing.revoke(soon.id)
    other = house.issue("other", scopes=frozenset({Scope.ADMIN}))
    house.issuing.revoke("first")
    with pytest.raises(LastAdminError):
        house.issuing.revoke(other.id)
