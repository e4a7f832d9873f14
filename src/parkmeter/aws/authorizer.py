"""The Lambda authorizer: turns an Authorization header into a policy for API Gateway.

API Gateway caches the answer for a while and for the whole stage, so the policy covers all of it;
the token's scopes travel in the context and are checked by the other functions. Knows tokens; no
meter and no route. It runs first for every client, so it imports little.
"""

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer
from botocore.config import Config

from parkmeter.aws.token_context import context_of
from parkmeter.core.tokens import Token
from parkmeter.stores.dynamodb_tokens import presented_token
from parkmeter.web.auth import secret_in

_PATIENCE = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 3},
)
"""All attempts fit into the function's ten seconds."""


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Return the policy for this request's token: Allow, or Deny, which clients see as 403.

    Raises:
        Exception: `Unauthorized`, which clients see as 401: there is no token. Any other, for
            example the store's, becomes a 500 and, unlike a Deny, is not cached.

    """
    return authorizer().answer(event)


@cache
def authorizer() -> "Authorizer":
    """Return the authorizer of this function, from its environment."""
    client = boto3.client("dynamodb", config=_PATIENCE)
    table = os.environ["PARKMETER_AUTH_TABLE"]
    plain = TypeDeserializer().deserialize

    def find(key: str) -> dict[str, Any] | None:
        # A consistent read: a Deny for a token issued a moment ago would be cached.
        found = client.get_item(
            TableName=table, Key={"token": {"S": key}}, ConsistentRead=True
        ).get("Item")
        return None if found is None else {name: plain(value) for name, value in found.items()}

    return Authorizer(lambda secret: presented_token(find, secret))


@dataclass(frozen=True, slots=True)
class Authorizer:
    """Authorizes requests. `token_of` returns the token for a secret, or None."""

    token_of: Callable[[str], Token | None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def answer(self, event: dict[str, Any]) -> dict[str, Any]:
        """See `handler`."""
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        secret = secret_in(headers.get("authorization"))
        if not secret:
            # API Gateway answers 401 for exactly this text.
            raise Exception("Unauthorized")  # noqa: TRY002
        token = self.token_of(secret)
        if token is None or not token.alive(self.now()):
            return _policy("Deny", "nobody", event["methodArn"])
        return _policy("Allow", token.id, event["methodArn"]) | {"context": context_of(token)}


def _policy(effect: str, principal: str, method_arn: str) -> dict[str, Any]:
    """Return a policy for the whole stage of `method_arn` (`arn:…:API/STAGE/METHOD/PATH`)."""
    stage = "/".join(method_arn.split("/")[:2])
    return {
        "principalId": principal,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": effect, "Resource": f"{stage}/*"}
            ],
        },
    }


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # A function has more processor time while it is initialized than when it handles an event.
    authorizer()
    # All of it is permanent. Without this the first collection costs an early answer 30 ms.
    gc.freeze()
