"""`parkmeter.Client`: everything a gateway offers, as typed calls. Synchronous.

Each method is one route of the HTTP contract, in words of the same meaning. What goes wrong is
raised as a `ParkmeterError`: the gateway's own problems with their code, or why there is no answer.
"""

import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx2

from parkmeter.client.address import address_of
from parkmeter.client.errors import NotServingProblem
from parkmeter.client.models import (
    Change,
    Endpoint,
    Health,
    JournalLine,
    NewToken,
    Receipt,
    Token,
)
from parkmeter.client.prompts import Event, Patience, Payload, Prompts, Reply
from parkmeter.client.transport import (
    Transport,
    document_of,
    if_harmless,
    if_unsent,
    silence_of,
    unexpected,
)
from parkmeter.client.wait import wait_until_running

_PAGE = 200
"""Lines of the journal that are asked for at once."""

Answer = TypeVar("Answer")


class Client:
    """A gateway, local or on AWS. Threads may share one; close it, or use it in `with`.

    `url` is the gateway's address, with or without `/prod` locally and with it on AWS. What is not
    given comes from PARKMETER_URL and PARKMETER_TOKEN, then from `client.json` of the state folder
    (`state`, PARKMETER_STATE, or the default one). `timeout`: seconds of silence after which a
    request has failed. `patience`: seconds within which a request that failed for a passing reason
    is sent again, if that is harmless: all that only look, and top-ups and ejects, which keep their
    idempotency key.

    Every method may raise ParkmeterProblem (or one of its kinds) and UnreachableError.

    Raises:
        NoAddressError: it is not known where the gateway is.

    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        state: str | PathLike[str] | None = None,
        timeout: float = 30.0,
        patience: float = 10.0,
    ) -> None:
        address = address_of(url, token, None if state is None else Path(state))
        self._transport = Transport(address, timeout, patience)
        self._prompts = Prompts(self._transport)

    @property
    def url(self) -> str:
        """The gateway's address, without a slash at its end."""
        return self._transport.address.url

    @property
    def streams(self) -> bool:
        """Whether answers come in pieces as they are made; API Gateway's come whole."""
        return not self._transport.address.one_piece

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ── Meters ──────────────────────────────────────────────────────────────────────────────────

    def health(self) -> Health:
        """Whether the gateway answers and its clock goes round. Needs no token."""
        return self._get("/health", Health.of)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """All endpoints that this token may see."""
        return self._get("/endpoints", lambda raw: tuple(map(Endpoint.of, raw["endpoints"])))

    def endpoint(self, name: str) -> Endpoint:
        """How one endpoint is doing."""
        return self._get(_of(name), Endpoint.of)

    def top_up(
        self,
        name: str,
        minutes: float | None = None,
        *,
        dollars: Decimal | float | str | None = None,
        key: str | None = None,
    ) -> Change:
        """Add minutes, or as many as dollars buy; say one of the two.

        `key` is the idempotency key, made up if absent.

        Raises:
            ValueError: both or neither is said, or minutes is not a finite number; whether it fits
                the gateway says.
            ParkmeterProblem: with code `price_unknown`, if nobody knows what dollars would buy.

        """
        if (minutes is None) == (dollars is None):
            raise ValueError("say minutes or dollars")
        wanted = {"minutes": minutes} if dollars is None else {"dollars": str(dollars)}
        return self._change(name, "/top-ups", wanted, key)

    def eject(
        self, name: str, *, expires_at: datetime | None = None, key: str | None = None
    ) -> Change:
        """End it now: the remaining time is given up, unless somebody topped up meanwhile.

        `expires_at` is the expiry as you saw it; left out, it is looked up now.

        Raises:
            ConflictProblem: with code `expiry_moved`, if it is no longer the present one.

        """
        seen = expires_at or self.endpoint(name).expires_at
        return self._change(
            name, "/eject", {} if seen is None else {"expires_at": _written(seen)}, key
        )

    def wait_until_running(
        self,
        name: str,
        timeout: float | timedelta = 600,
        *,
        on_look: Callable[[Endpoint], None] = lambda _endpoint: None,
    ) -> Endpoint:
        """Return as soon as the endpoint runs. `timeout` in seconds; `on_look` gets every look.

        Raises:
            NotRunningError: not within the timeout, or nothing will happen by itself: the meter is
                closed, or the last start failed for good.

        """
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        return wait_until_running(lambda: self.endpoint(name), seconds, on_look)

    # ── What happened ───────────────────────────────────────────────────────────────────────────

    def journal(self, name: str, limit: int | None = None) -> Iterator[JournalLine]:
        """Who did what, when and why, newest first; all of it, or the newest `limit` lines.

        Pages are asked for as they are needed.
        """
        query: dict[str, str | int] = {}
        left = limit
        while left is None or left > 0:
            query["limit"] = _PAGE if left is None else min(_PAGE, left)
            lines, before = self._get(
                _of(name) + "/journal",
                lambda raw: (
                    [JournalLine.of(line, endpoint=name) for line in raw["lines"]],
                    raw["before"],
                ),
                query,
            )
            yield from lines
            if before is None:
                return
            query["before"] = before
            left = None if left is None else left - len(lines)

    def receipt(
        self,
        name: str,
        begin: datetime | date | None = None,
        end: datetime | date | None = None,
    ) -> Receipt:
        """What it cost; from its first line in the journal until now, if nothing else is said."""
        limits = {"from": begin, "to": end}
        query = {key: _written(value) for key, value in limits.items() if value is not None}
        return self._get(_of(name) + "/receipt", Receipt.of, query)

    def receipt_csv(
        self,
        name: str,
        begin: datetime | date | None = None,
        end: datetime | date | None = None,
    ) -> str:
        """The receipt for spreadsheets (RFC 4180), with its headings."""
        limits = {"from": begin, "to": end}
        query = {key: _written(value) for key, value in limits.items() if value is not None}
        path = _of(name) + "/receipt.csv"
        return self._transport.send("GET", path, again=if_harmless, query=query).text

    def logs(self, name: str, lines: int = 200, *, follow: bool = False) -> Generator[str]:
        """The last lines that the endpoint's server printed; with `follow` also those to come.

        On AWS the last lines only. Following ends when the iterator is closed.
        """
        response = self._transport.send(
            "GET",
            _of(name) + "/logs",
            again=if_harmless,
            query={"lines": lines, "follow": "true" if follow else "false"},
            stream=True,
            timeout=silence_of(None) if follow else None,
        )
        with closing(response):
            try:
                yield from response.iter_lines()
            except httpx2.TransportError as error:
                raise self._transport.broken(error) from error

    # ── Tokens ──────────────────────────────────────────────────────────────────────────────────

    def tokens(self) -> tuple[Token, ...]:
        """All tokens, without their secrets."""
        return self._get("/tokens", lambda raw: tuple(map(Token.of, raw["tokens"])))

    def create_token(
        self,
        name: str,
        *,
        scopes: Iterable[str] | None = None,
        endpoints: Iterable[str] | None = None,
        expires_at: datetime | None = None,
        minutes_per_day: float | None = None,
    ) -> NewToken:
        """Make a token; its `secret` is shown this once. What is left out is the gateway's default.

        Not sent again by itself: one whose answer got lost would be a token that nobody has.
        """
        wanted = {
            "name": name,
            "scopes": None if scopes is None else list(scopes),
            "endpoints": None if endpoints is None else list(endpoints),
            "expires_at": None if expires_at is None else _written(expires_at),
            "minutes_per_day": minutes_per_day,
        }
        body = {key: value for key, value in wanted.items() if value is not None}
        response = self._transport.send("POST", "/tokens", again=if_unsent, json=body)
        return _made(NewToken.of, response)

    def revoke_token(self, token_id: str) -> None:
        """Make a token worthless, at once."""
        # Not sent again: the second answer would be that there is no such token.
        self._transport.send("DELETE", f"/tokens/{_quoted(token_id)}", again=if_unsent)

    # ── Prompts ─────────────────────────────────────────────────────────────────────────────────

    def invoke(
        self,
        name: str,
        payload: Payload,
        *,
        wait: float = 0,
        content_type: str = "application/json",
        on_wait: Callable[[NotServingProblem], None] = lambda _problem: None,
    ) -> Reply:
        """Send the model a prompt in its own contract and return its whole answer.

        A mapping is sent as JSON, bytes and text as they are. `wait`: seconds for an endpoint that
        is still on its way; `on_wait` is told the reason.

        Raises:
            MeterClosedProblem: the meter holds no time; says how to top up.
            NotServingProblem: it does not serve, after `wait`.

        """
        return self._prompts.whole(_of(name), payload, Patience(wait, on_wait), content_type)

    def stream(
        self,
        name: str,
        payload: Payload,
        *,
        wait: float = 0,
        content_type: str = "application/json",
        on_wait: Callable[[NotServingProblem], None] = lambda _problem: None,
    ) -> Generator[Event]:
        """As `invoke`, but what the model says comes as it says it.

        Nothing is sent before the first event is asked for. A model that does not stream gives one
        event, `whole`. Closing the iterator tells the model to stop.
        """
        return self._prompts.pieces(_of(name), payload, Patience(wait, on_wait), content_type)

    # ── How it is asked ─────────────────────────────────────────────────────────────────────────

    def _get(
        self,
        path: str,
        make: Callable[[Any], Answer],
        query: Mapping[str, str | int] | None = None,
    ) -> Answer:
        return _made(make, self._transport.send("GET", path, again=if_harmless, query=query))

    def _change(self, name: str, path: str, body: Mapping[str, Any], key: str | None) -> Change:
        # Made up once: sent again under the same key, it still counts once.
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        response = self._transport.send(
            "POST", _of(name) + path, again=if_harmless, headers=headers, json=body
        )
        return _made(Change.of, response)


def _made(make: Callable[[Any], Answer], response: httpx2.Response) -> Answer:
    try:
        return make(document_of(response))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise unexpected(response.status_code, str(response.request.url)) from error


def _of(name: str) -> str:
    return f"/endpoints/{_quoted(name)}"


def _quoted(segment: str) -> str:
    # An empty segment, or one of dots, would be another route.
    return quote(segment, safe="").replace(".", "%2E") or "%20"


def _written(moment: datetime | date) -> str:
    if isinstance(moment, datetime):
        return moment.astimezone().isoformat() if moment.tzinfo is None else moment.isoformat()
    return moment.isoformat()
