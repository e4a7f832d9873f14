"""The authorizer, called as API Gateway calls it, over a DynamoDB on moto."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from parkmeter.aws import authorizer
from parkmeter.aws.token_context import context_of, token_in
from parkmeter.core.tokens import Scope, Token, digest_of
from parkmeter.errors import TokenRefusedError
from parkmeter.stores.dynamodb import DynamoStore
from simulator.deployment import dynamodb_client, make_tables

NOW = datetime.now(UTC)
STAGE = "arn:aws:execute-api:us-east-1:111122223333:abc123/prod"


@dataclass
class Door:
    client: Any
    table: str
    store: DynamoStore

    def by_hand(self, **item: Any) -> None:
        self.client.put_item(TableName=self.table, Item=item)

    def ask(self, authorization: str | None, name: str = "Authorization") -> dict[str, Any]:
        headers = {} if authorization is None else {name: authorization}
        event = {
            "type": "REQUEST",
            "methodArn": f"{STAGE}/POST/flan",
            "headers": headers,
        }
        return authorizer.handler(event, None)

    def refuses(self, authorization: str) -> bool:
        said = self.ask(authorization)
        return effect(said) == "Deny" and "context" not in said


def effect(said: dict[str, Any]) -> str:
    (statement,) = said["policyDocument"]["Statement"]
    return statement["Effect"]


@pytest.fixture
def door(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    client = dynamodb_client(moto)
    tables = make_tables(client)
    for name, value in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "PARKMETER_AUTH_TABLE": tables.auth,
    }.items():
        monkeypatch.setenv(name, value)
    authorizer.authorizer.cache_clear()
    yield Door(client, tables.auth, DynamoStore(client, tables))
    authorizer.authorizer.cache_clear()
    client.close()


def token(secret: str, **more: Any) -> Token:
    return Token("0a1b", digest_of(secret), "laptop", NOW, **more)


def test_a_pass_code_put_there_by_hand_may_prompt_and_top_up_everywhere(door: Door) -> None:
    door.by_hand(token="open sesame")
    said = door.ask("open sesame")
    assert effect(said) == "Allow"
    assert said["context"]["name"] == "pass code"
    assert said["context"]["scopes"] == "invoke,top-up"
    assert said["context"]["endpoints"] == "*"
    assert "open sesame" not in repr(said)


def test_the_digest_of_a_pass_code_can_be_put_there_in_its_place(door: Door) -> None:
    # By the command of docs/aws.md.
    command = "printf %s 'open sesame' | sha256sum | cut -c-64"
    digest = subprocess.run(
        ["sh", "-c", command], capture_output=True, check=True, text=True
    ).stdout.strip()
    door.by_hand(token=f"sha256:{digest}")
    assert effect(door.ask("open sesame")) == "Allow"
    assert door.refuses(f"sha256:{digest}")


def test_a_token_that_was_issued_is_known_bare_and_after_bearer(door: Door) -> None:
    door.store.put_token(token("pm_one"))
    for header in ("pm_one", "Bearer pm_one", "bearer  pm_one "):
        assert door.ask(header)["principalId"] == "0a1b"
    assert door.ask("pm_one", name="authorization")["principalId"] == "0a1b"


def test_the_policy_covers_the_whole_stage(door: Door) -> None:
    door.by_hand(token="open sesame")
    for header in ("open sesame", "wrong"):
        (statement,) = door.ask(header)["policyDocument"]["Statement"]
        assert statement["Resource"] == f"{STAGE}/*"


def test_what_a_token_may_do_reaches_the_other_functions(door: Door) -> None:
    issued = token(
        "pm_one",
        scopes=frozenset({Scope.ADMIN, Scope.INVOKE}),
        endpoints=frozenset({"flan-t5", "phi"}),
        expires_at=NOW + timedelta(hours=1),
        minutes_per_day=90.0,
        speaks_for_others=True,
    )
    door.store.put_token(issued)
    context = door.ask("pm_one")["context"]
    assert context["scopes"] == "admin,invoke"
    assert context["endpoints"] == "flan-t5,phi"
    assert all(isinstance(value, str) for value in context.values())
    arrived = token_in(context, NOW)
    assert arrived is not None
    assert (arrived.id, arrived.name) == (issued.id, issued.name)
    assert (arrived.scopes, arrived.endpoints) == (issued.scopes, issued.endpoints)
    assert (arrived.expires_at, arrived.minutes_per_day) == (issued.expires_at, 90.0)
    assert arrived.speaks_for_others


def test_a_token_for_no_endpoint_is_not_one_for_all() -> None:
    arrived = token_in(context_of(token("pm_one", endpoints=frozenset())), NOW)
    assert arrived is not None
    assert arrived.endpoints == frozenset()


def test_a_kept_policy_does_not_outlive_its_token() -> None:
    context = context_of(token("pm_one", expires_at=NOW + timedelta(seconds=5)))
    assert token_in(context, NOW) is not None
    with pytest.raises(TokenRefusedError):
        token_in(context, NOW + timedelta(seconds=5))


def test_an_unknown_token_is_denied(door: Door) -> None:
    assert door.refuses("wrong")


def test_an_expired_token_is_denied(door: Door) -> None:
    door.store.put_token(token("pm_old", expires_at=NOW - timedelta(seconds=1)))
    assert door.refuses("pm_old")


def test_a_stolen_table_opens_nothing(door: Door) -> None:
    door.store.put_token(token("pm_one"))
    assert door.refuses(digest_of("pm_one"))
    assert door.refuses(f"Bearer {digest_of('pm_one')}")


@pytest.mark.parametrize("header", ["x" * 2049, "\udc80"])
def test_what_can_be_no_key_is_denied_without_asking_the_store(door: Door, header: str) -> None:
    assert door.refuses(header)


@pytest.mark.parametrize("header", [None, "", "  ", "Bearer", "Bearer "])
def test_without_a_token_it_is_unauthorized(door: Door, header: str | None) -> None:
    with pytest.raises(Exception, match=r"\AUnauthorized\Z"):
        door.ask(header)


def test_a_store_that_fails_is_no_denial(door: Door) -> None:
    door.client.delete_table(TableName=door.table)
    with pytest.raises(ClientError):
        door.ask("pm_one")


def test_it_starts_without_any_web_framework() -> None:
    heavy = "fastapi", "starlette", "pydantic", "parkmeter.core.meter"
    code = (
        "import sys, parkmeter.aws.authorizer;"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert said.stdout.strip() == "[]"
