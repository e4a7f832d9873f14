"""Who can use a gateway that has just begun: its first token, made once and not against a wish."""

from pathlib import Path

import pytest

from parkmeter.config.load import load_settings
from parkmeter.core.tokens import Scope
from parkmeter.gateway.wiring import wire
from parkmeter.service.tokens import TokenRequest, TokenService
from parkmeter.state_folder import StateFolder
from parkmeter.stores.sqlite import SqliteStore
from tests.support.world import NOON


class House:
    """A state folder that gateways begin in, one after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, **environment: str) -> str | None:
        """The token that this start made, if it made one."""
        settings = load_settings(environment=environment, state=self.path)
        parts = wire(settings, StateFolder(self.path), "http://127.0.0.1:8080")
        parts.store.close()
        return parts.new_token

    def tokens(self) -> dict[str, str]:
        """Ids by name."""
        store = SqliteStore(self.path / "parkmeter.sqlite")
        found = {token.name: token.id for token in store.tokens()}
        store.close()
        return found

    def change(self, *revoked: str, issued: TokenRequest | None = None) -> None:
        store = SqliteStore(self.path / "parkmeter.sqlite")
        issuing = TokenService(store, list, lambda: NOON)
        if issued is not None:
            issuing.issue(issued)
        for token_id in revoked:
            issuing.revoke(token_id)
        store.close()


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_the_first_start_makes_a_token_and_later_ones_do_not(house):
    assert house.begin().startswith("pm_")
    assert house.begin() is None
    assert list(house.tokens()) == ["first"]


def test_a_first_token_that_was_revoked_stays_revoked(house):
    house.begin()
    house.change("first", issued=TokenRequest("ada", frozenset(Scope)))
    assert house.begin() is None
    assert list(house.tokens()) == ["ada"]


def test_a_house_without_anybody_who_may_issue_tokens_gets_a_new_first_one(house):
    house.begin()
    store = SqliteStore(house.path / "parkmeter.sqlite")
    store.remove_token("first")
    store.close()
    house.change(issued=TokenRequest("bob"))
    assert house.begin() is not None
    assert set(house.tokens()) == {"first", "bob"}


def test_a_bootstrap_token_is_the_first_one_whatever_was_revoked(house):
    house.begin()
    house.change("first", issued=TokenRequest("ada", frozenset(Scope)))
    assert house.begin(PARKMETER_BOOTSTRAP_TOKEN="sixteen-letters-long") is None
    assert set(house.tokens()) == {"first", "ada"}
