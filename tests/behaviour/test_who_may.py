"""Every route of a real gateway by every kind of token: a forgotten check fails here."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from parkmeter.api.dashboard_routes import dashboard
from parkmeter.config.load import load_settings
from parkmeter.core.tokens import Scope, Token, digest_of
from parkmeter.gateway.wiring import wire
from parkmeter.state_folder import StateFolder
from parkmeter.stores.sqlite import SqliteStore
from tests.support.gateway_process import TOKEN, Answer, GatewayProcess, ping_config

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
OPEN, ANY_TOKEN, ADMINISTRATOR = "open", "any token", "administrator"
COVERED = "covered"
"""Any token that is for this endpoint."""

SEEN_LONG_AGO = {"expires_at": "2000-01-01T00:00:00Z"}


@dataclass(frozen=True)
class Request:
    """One route: its declaration, a request for it, and the scope it needs.

    Bodies are such that nothing changes where a token suffices.
    """

    method: str
    route: str
    need: str
    body: dict | None = None

    @property
    def path(self) -> str:
        path = self.route.replace("{api_resource}", "flan").replace("{path}", "v1/models")
        path = path.replace("{link}", "no-such-link")  # a link is signed, and its own right
        path = path.replace("{version}", dashboard().version).replace("{name:path}", "main.js")
        path = path.replace("{model:path}", "other")
        return path.replace("{name}", "flan-t5").replace("{token_id}", "no-such-id")

    @property
    def answers(self) -> set[int]:
        """Statuses of an open route without a token; an unknown link is not found."""
        return {404} if "{link}" in self.route else {200, 307}

    def __str__(self) -> str:
        return f"{self.method} {self.route}"


ROUTES = [
    Request("GET", "/", OPEN),
    Request("GET", "/favicon.ico", OPEN),
    Request("GET", "/assets/{version}/{name:path}", OPEN),
    Request("GET", "/docs", OPEN),
    Request("GET", "/openapi.json", OPEN),
    Request("GET", "/health", OPEN),
    Request("GET", "/extend/{link}", OPEN),
    Request("POST", "/extend/{link}", OPEN),
    Request("GET", "/metrics", ANY_TOKEN),
    Request("GET", "/whoami", ANY_TOKEN),
    Request("GET", "/events", ANY_TOKEN),
    Request("GET", "/endpoints", ANY_TOKEN),
    Request("GET", "/endpoint-expiry", ANY_TOKEN),
    Request("GET", "/endpoints/{name}", COVERED),
    Request("GET", "/endpoints/{name}/journal", COVERED),
    Request("GET", "/endpoints/{name}/receipt", COVERED),
    Request("GET", "/endpoints/{name}/receipt.csv", COVERED),
    Request("GET", "/endpoints/{name}/usage", COVERED),
    Request("GET", "/endpoints/{name}/timeline", COVERED),
    Request("GET", "/endpoints/{name}/logs", Scope.ADMIN),
    Request("POST", "/endpoints/{name}/eject", Scope.ADMIN, SEEN_LONG_AGO),
    Request("POST", "/endpoints/{name}/top-ups", Scope.TOP_UP, {}),
    Request("POST", "/endpoint-expiry", Scope.TOP_UP, {"minutes": 0, "EndpointName": "flan-t5"}),
    Request("POST", "/endpoints/{name}/invocations", Scope.INVOKE, {}),
    Request("POST", "/{api_resource}", Scope.INVOKE, {}),
    Request("GET", "/{api_resource}/{path}", Scope.INVOKE),
    # While the server is there, it answers; else any token that covers it is answered.
    Request("GET", "/{api_resource}/v1/models", Scope.INVOKE),
    Request("GET", "/{api_resource}/v1/models/{model:path}", Scope.INVOKE),
    Request("GET", "/v1/models", ANY_TOKEN),
    Request("GET", "/v1/models/{model:path}", ANY_TOKEN),
    Request("DELETE", "/{api_resource}/{path}", Scope.INVOKE),
    Request("GET", "/tokens", ADMINISTRATOR),
    Request("POST", "/tokens", ADMINISTRATOR, {}),
    Request("POST", "/tokens/{token_id}/rotate", ADMINISTRATOR),
    Request("DELETE", "/tokens/{token_id}", ADMINISTRATOR),
    Request("GET", "/audit", ADMINISTRATOR),
]

DATA_PLANE = {"/{api_resource}", "/{api_resource}/{path}", "/endpoints/{name}/invocations"}


def token(name: str, *scopes: Scope, **changes: object) -> Token:
    made = Token(name, digest_of(f"{name}-secret"), name, LONG_AGO, frozenset(scopes))
    return replace(made, **changes)


GOOD = {
    made.name: made
    for made in (
        token("no-scope"),
        *(token(scope, scope) for scope in Scope),
        token("everything", *Scope),
        token("everything-here", *Scope, endpoints=frozenset({"flan-t5"})),
        token("everything-elsewhere", *Scope, endpoints=frozenset({"other"})),
        token("expires-later", *Scope, expires_at=datetime.now(UTC) + timedelta(days=1)),
    )
}
EXPIRED = token("expired", *Scope, expires_at=LONG_AGO)
REVOKED = token("revoked", *Scope)
BAD = {
    "unknown": "unknown-secret",
    "expired": "expired-secret",
    "revoked": "revoked-secret",
    "stored-form": digest_of("everything-secret"),
}
TWO = ping_config() + "\n" + ping_config().replace("flan-t5", "other").replace('"flan"', '"other"')


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    state = tmp_path_factory.mktemp("who") / "state"
    state.mkdir()
    store = SqliteStore(state / "parkmeter.sqlite")
    for one in (*GOOD.values(), EXPIRED, REVOKED):
        store.put_token(one)
    store.close()
    with GatewayProcess(state, TWO).start() as made:
        made.until("running")
        made.until("running", "other")
        assert made.request("DELETE", "/tokens/revoked").status == 204
        yield made


HOSTS = itertools.cycle(range(2, 255))


def ask(gateway: GatewayProcess, asked: Request, secret: str | None, prefix: str = ""):
    # Each time from another address: after ten refusals those of one are answered seconds later.
    peer = f"127.0.0.{next(HOSTS)}"
    headers = {"Authorization": secret} if secret is not None else {"Authorization": ""}
    if asked.route == "/events":
        return first_event(gateway, prefix + asked.path, headers, peer)
    return gateway.request(asked.method, prefix + asked.path, asked.body, headers, peer=peer)


def first_event(
    gateway: GatewayProcess, path: str, headers: dict[str, str], peer: str = ""
) -> Answer:
    """Return the answer up to the end of the first event: it has no end of its own."""
    with contextlib.closing(gateway.connection(20, peer)) as connection:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read() if response.status != 200 else b""
        while response.status == 200 and b"data: " not in body:
            body += response.readline()
        return Answer(response.status, dict(response.getheaders()), body)


def enough(asked: Request, held: Token) -> bool:
    match asked.need:
        case "open" | "any token":
            return True
        case "covered":
            return held.covers("flan-t5")
        case "administrator":
            return Scope.ADMIN in held.scopes and held.endpoints is None
        case scope:
            return held.may(Scope(scope), "flan-t5")


def test_every_route_of_the_gateway_is_in_the_table(tmp_path: Path):
    config = tmp_path / "parkmeter.toml"
    config.write_text(TWO)
    settings = load_settings(config=config, environment={}, state=tmp_path)
    parts = wire(settings, StateFolder(tmp_path), "http://127.0.0.1:0")
    parts.store.close()
    declared = {
        (method, route.path)
        for route in parts.control.routes
        for method in sorted(route.methods - {"HEAD"})
    }
    assert declared == {
        (asked.method, asked.route) for asked in ROUTES if asked.route not in DATA_PLANE
    }


@pytest.mark.parametrize("asked", ROUTES, ids=str)
def test_without_a_token_only_what_is_open_answers(gateway, asked):
    answer = ask(gateway, asked, None)
    if asked.need == OPEN:
        assert answer.status in asked.answers
    else:
        assert (answer.status, answer.json["code"]) == (401, "token_missing")


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("asked", ROUTES, ids=str)
def test_a_token_that_is_none_opens_nothing(gateway, asked, kind):
    for prefix in ("", "/prod"):
        answer = ask(gateway, asked, BAD[kind], prefix)
        if asked.need == OPEN:
            assert answer.status in asked.answers
        else:
            assert (answer.status, answer.json["code"]) == (403, "token_refused")


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("asked", ROUTES, ids=str)
def test_a_token_does_what_it_is_for_and_no_more(gateway, asked, kind):
    for prefix in ("", "/prod"):
        answer = ask(gateway, asked, f"{kind}-secret", prefix)
        if enough(asked, GOOD[kind]):
            assert answer.status not in {401, 403, 500}, answer.body
        else:
            assert (answer.status, answer.json["code"]) == (403, "scope_missing")


@pytest.mark.parametrize("asked", [asked for asked in ROUTES if asked.need == ANY_TOKEN], ids=str)
def test_what_anybody_may_ask_shows_only_what_the_token_covers(gateway, asked):
    said = ask(gateway, asked, "everything-elsewhere-secret").body
    assert b"other" in said
    assert b"flan-t5" not in said


def test_refusals_do_not_tell_names_that_the_token_does_not_cover(gateway):
    for path in ("/endpoints/nothing", "/endpoints/nothing/invocations", "/endpoints/nothing/logs"):
        headers = {"Authorization": "everything-elsewhere-secret"}
        method = "POST" if path.endswith("invocations") else "GET"
        answer = gateway.request(method, path, headers=headers)
        assert answer.status in {403, 404}
        assert b"flan-t5" not in answer.body


def test_no_secret_is_in_what_the_gateway_prints_or_keeps(gateway):
    issued = gateway.request("POST", "/tokens", {"name": "eve"}).json["token"]
    headers = {"Authorization": f"Bearer {issued}"}
    assert gateway.request("GET", "/endpoints", headers=headers).status == 200
    kept = b"".join(file.read_bytes() for file in gateway.state.glob("parkmeter.sqlite*"))
    assert issued.encode() not in kept
    assert digest_of(issued).encode() in kept
    for secret in (issued, TOKEN, "everything-secret"):
        assert secret not in gateway.output()


def test_a_token_works_from_the_next_request_on_and_ends_with_its_revocation(gateway):
    issued = gateway.request("POST", "/tokens", {"name": "fay", "endpoints": ["other"]})
    assert issued.status == 201
    assert issued.headers["cache-control"] == "no-store"
    headers = {"Authorization": issued.json["token"]}
    assert gateway.request("POST", "/other", {}, headers).status == 200
    assert gateway.request("POST", "/flan", {}, headers).status == 403
    listed = gateway.request("GET", "/tokens")
    assert issued.json["token"] not in json.dumps(listed.json)
    assert gateway.request("DELETE", f"/tokens/{issued.json['id']}").status == 204
    assert gateway.request("POST", "/other", {}, headers).json["code"] == "token_refused"


def test_tokens_outlast_the_gateway(tmp_path):
    with GatewayProcess(tmp_path / "state", ping_config()).start() as gateway:
        issued = gateway.request("POST", "/tokens", {"name": "gil"}).json["token"]
        gateway.stop()
        gateway.start()
        gateway.until("running")
        assert gateway.request("POST", "/flan", {}, {"Authorization": issued}).status == 200
