"""The control routes over a whole parkmeter on a wound clock, with tokens of every kind."""

from dataclasses import dataclass

from starlette.testclient import TestClient

from parkmeter.api.app import control_app
from parkmeter.api.dependencies import ApiContext
from parkmeter.core.meter import Spec
from parkmeter.core.tokens import Scope, Token, digest_of
from parkmeter.web.auth import TokenBook
from tests.support.world import NOON, World

ADMIN = {"Authorization": "admin-pass-code"}
SEED = {"Authorization": "seed-pass-code"}
LOOKER = {"Authorization": "looker-pass-code"}
FALCONER = {"Authorization": "falcon-pass-code"}
EXPIRED = {"Authorization": "expired-pass-code"}
ROUTES = [
    ("GET", "/endpoint-expiry"),
    ("POST", "/endpoint-expiry"),
    ("GET", "/endpoints"),
    ("GET", "/endpoints/flan-t5"),
    ("POST", "/endpoints/flan-t5/top-ups"),
    ("POST", "/endpoints/flan-t5/eject"),
    ("GET", "/endpoints/flan-t5/journal"),
]


@dataclass
class Front:
    world: World
    client: TestClient

    def get(self, path: str, headers: dict[str, str] | None = None, **more: object):
        return self.client.get(path, headers=ADMIN if headers is None else headers, **more)

    def post(self, path: str, json: object = None, headers: dict[str, str] | None = None, **more):
        headers = ADMIN if headers is None else headers
        return self.client.post(path, json=json, headers=headers, **more)


def front_of(*specs: Spec) -> Front:
    world = World(*specs)
    tokens = [
        token("admin-pass-code", frozenset(Scope)),
        token("seed-pass-code"),
        token("looker-pass-code", frozenset()),
        token("falcon-pass-code", endpoints=frozenset({"falcon"})),
        token("expired-pass-code", expires_at=NOON),
    ]
    control = ApiContext(world.service, TokenBook(tokens), lambda name: name, lambda: world.now)
    return Front(world, TestClient(control_app(control), raise_server_exceptions=False))


def token(secret: str, scopes: frozenset[Scope] | None = None, **changes: object) -> Token:
    name = secret.partition("-")[0]
    more = changes if scopes is None else {**changes, "scopes": scopes}
    return Token(id=name, digest=digest_of(secret), name=name, created_at=NOON, **more)


def problem(response, status: int, code: str) -> dict:
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (response.status_code, body["code"]) == (status, code), body
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body
