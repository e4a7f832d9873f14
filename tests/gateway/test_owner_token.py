"""The owner's token: made at the first start, never again after it was revoked."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from parkmeter.config.load import load_settings
from parkmeter.core.tokens import Scope, Token, digest_of
from parkmeter.gateway.wiring import Parts, wire
from parkmeter.service.tokens import TokenRequest, TokenService
from parkmeter.state_folder import StateFolder
from parkmeter.stores.sqlite import SqliteStore
from tests.support.world import NOON


class Deployment:
    """A state folder in which gateways start, one after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, **environment: str) -> str | None:
        """Start a gateway; return the token that it generated, if it did."""
        parts = self.parts(**environment)
        parts.store.close()
        return parts.new_token

    def parts(self, **environment: str) -> Parts:
        """Return the parts of a gateway."""
        settings = load_settings(environment=environment, state=self.path)
        return wire(settings, StateFolder(self.path), "http://127.0.0.1:8080")

    def tokens(self) -> dict[str, str]:
        """Return ids by name."""
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
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def test_the_first_start_makes_a_token_and_later_ones_do_not(deployment):
    assert deployment.start().startswith("pm_")
    assert deployment.start() is None
    assert list(deployment.tokens()) == ["owner"]


def test_an_owners_token_that_was_revoked_stays_revoked(deployment):
    deployment.start()
    deployment.change("owner", issued=TokenRequest("ada", frozenset(Scope)))
    assert deployment.start() is None
    assert list(deployment.tokens()) == ["ada"]


def test_without_a_token_that_may_issue_others_a_new_owners_token_is_made(deployment):
    deployment.start()
    store = SqliteStore(deployment.path / "parkmeter.sqlite")
    store.remove_token("owner")
    store.close()
    deployment.change(issued=TokenRequest("bob"))
    assert deployment.start() is not None
    assert set(deployment.tokens()) == {"owner", "bob"}


def test_a_bootstrap_token_is_the_owners_whatever_was_revoked(deployment):
    deployment.start()
    deployment.change("owner", issued=TokenRequest("ada", frozenset(Scope)))
    assert deployment.start(PARKMETER_BOOTSTRAP_TOKEN="sixteen-letters-long") is None
    assert set(deployment.tokens()) == {"owner", "ada"}


def test_a_database_of_an_older_version_keeps_its_first_token(deployment):
    store = SqliteStore(deployment.path / "parkmeter.sqlite")
    store.put_token(Token("first", digest_of("older-secret"), "first", NOON, frozenset(Scope)))
    store.close()
    assert deployment.start() is None
    assert deployment.tokens() == {"first": "first"}
    assert deployment.start(PARKMETER_BOOTSTRAP_TOKEN="sixteen-letters-long") is None
    assert deployment.tokens() == {"first": "first"}


def test_the_first_start_is_in_the_audit(deployment):
    deployment.start()
    store = SqliteStore(deployment.path / "parkmeter.sqlite")
    (record,) = store.audit(10)
    store.close()
    assert (record.action, record.who, record.subject) == ("token.issued", "parkmeter", "owner")


def test_a_rotated_owners_token_is_in_the_files_of_the_state_folder(deployment):
    parts = deployment.parts()
    with TestClient(parts.control) as client:
        headers = {"Authorization": parts.new_token}
        secret = client.post("/tokens/owner/rotate", headers=headers).json()["token"]
        other = {"Authorization": secret}
        issued = client.post("/tokens", json={"name": "ada"}, headers=other).json()
        client.post(f"/tokens/{issued['id']}/rotate", headers=other)
    parts.store.close()
    folder = StateFolder(deployment.path)
    assert folder.client().token == secret
    assert folder.token_file.read_text().strip() == secret
    assert deployment.start() is None
    assert StateFolder(deployment.path).client().token == secret


def test_a_new_secret_reaches_its_owner_although_the_files_cannot_be_written(
    deployment, monkeypatch, caplog
):
    parts = deployment.parts()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("parkmeter.state_folder.write_private", full)
    with TestClient(parts.control) as client:
        headers = {"Authorization": parts.new_token}
        secret = client.post("/tokens/owner/rotate", headers=headers).json()["token"]
        assert client.get("/whoami", headers={"Authorization": secret}).status_code == 200
    parts.store.close()
    assert "has the older secret: [Errno 28]" in caplog.text


def test_a_bootstrap_token_is_not_rotated_because_the_next_start_would_bring_it_back(deployment):
    secret = "sixteen-letters-long"
    parts = deployment.parts(PARKMETER_BOOTSTRAP_TOKEN=secret)
    with TestClient(parts.control) as client:
        answer = client.post("/tokens/owner/rotate", headers={"Authorization": secret})
    parts.store.close()
    assert (answer.status_code, answer.json()["code"]) == (409, "token_fixed")
