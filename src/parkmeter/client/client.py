"""`parkmeter.Client`: the gateway's HTTP contract as typed calls. Synchronous.

Each method is one route. Errors are raised as `ParkmeterError`: the gateway's problems with their
code, or the reason why there is no answer.
"""

import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from parkmeter.client.access_calls import AccessCalls
from parkmeter.client.address import address_of
from parkmeter.client.calls import iso, made, quoted
from parkmeter.client.connections import RequestError
from parkmeter.client.errors import NotServingProblem
from parkmeter.client.models import Change, Endpoint, Health, JournalLine, Receipt, Usage
from parkmeter.client.prompts import Event, Patience, Payload, Prompts, Reply
from parkmeter.client.transport import Transport, always, timeout_of
from parkmeter.client.wait import wait_until_running

_PAGE = 200
"""Lines of the journal in one request."""


class Client(AccessCalls):
    """A gateway, local or on AWS. Thread-safe; close it, or use it in `with`.

    `url` is the gateway's address: on AWS with `/prod`, locally with or without. Defaults are
    PARKMETER_URL and PARKMETER_TOKEN, then `client.json` of the state folder (`state`,
    PARKMETER_STATE, or the default one). `timeout`: seconds of silence after which a request fails.
    `patience`: seconds within which a request is retried after a temporary failure, if that is
    safe: reads, and top-ups and ejects, which keep their idempotency key.

    Every method may raise ParkmeterProblem (or a subclass) and UnreachableError.

    Raises:
        NoAddressError: no gateway is known, or the url is not valid.
        UnreachableError: the environment names a proxy that cannot be used.

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
        super().__init__(Transport(address, timeout, patience))
        self._prompts = Prompts(self._transport)

    @property
    def url(self) -> str:
        """Return the gateway's address, without a slash at its end."""
        return self._transport.address.url

    @property
    def streams(self) -> bool:
        """Return whether answers are streamed; those of API Gateway come whole."""
        return not self._transport.address.is_api_gateway

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
        """Return once the gateway answers and its clock runs. Needs no token."""
        return self._get("/health", Health.of)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return all endpoints that this token may see."""
        return self._get("/endpoints", lambda raw: tuple(map(Endpoint.of, raw["endpoints"])))

    def endpoint(self, name: str) -> Endpoint:
        """Return one endpoint."""
        return self._get(_of(name), Endpoint.of)

    def top_up(
        self,
        name: str,
        minutes: float | None = None,
        *,
        dollars: Decimal | float | str | None = None,
        key: str | None = None,
    ) -> Change:
        """Add minutes, or as many as the dollars buy; give one of the two.

        `key` is the idempotency key, generated if absent.

        Raises:
            ValueError: both or neither is given, or minutes is not a finite number; the limits are
                checked by the gateway.
            ParkmeterProblem: with code `price_unknown`, if dollars are given without a known price.

        """
        if (minutes is None) == (dollars is None):
            raise ValueError("give minutes or dollars")
        body = {"minutes": minutes} if dollars is None else {"dollars": str(dollars)}
        return self._change(name, "/top-ups", body, key)

    def eject(
        self, name: str, *, expires_at: datetime | None = None, key: str | None = None
    ) -> Change:
        """Stop the endpoint now and give up its time, unless the expiry has changed.

        `expires_at` is the expiry as you last saw it; by default it is looked up now.

        Raises:
            ConflictProblem: with code `expiry_moved`, if it is no longer the present one.

        """
        seen = expires_at or self.endpoint(name).expires_at
        return self._change(name, "/eject", {} if seen is None else {"expires_at": iso(seen)}, key)

    def wait_until_running(
        self,
        name: str,
        timeout: float | timedelta = 600,
        *,
        on_look: Callable[[Endpoint], None] = lambda _endpoint: None,
    ) -> Endpoint:
        """Return as soon as the endpoint runs. `timeout` in seconds; `on_look` gets every poll.

        Raises:
            NotRunningError: the timeout passed, or waiting is useless: the meter is closed, or the
                last start failed and is not retried.

        """
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        return wait_until_running(lambda: self.endpoint(name), seconds, on_look)

    # ── History ─────────────────────────────────────────────────────────────────────────────────

    def journal(self, name: str, limit: int | None = None) -> Iterator[JournalLine]:
        """Yield the journal, newest first: all of it, or the newest `limit` lines.

        Pages are requested as they are needed.
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
        """Return the cost of a period; by default from the journal's first line until now."""
        return self._get(_of(name) + "/receipt", Receipt.of, _period(begin, end))

    def receipt_csv(
        self,
        name: str,
        begin: datetime | date | None = None,
        end: datetime | date | None = None,
    ) -> str:
        """Return the receipt as CSV (RFC 4180) with headings, for spreadsheets."""
        path, query = _of(name) + "/receipt.csv", _period(begin, end)
        return self._transport.send("GET", path, retry=always, query=query).text

    def usage(
        self,
        name: str,
        begin: datetime | date | None = None,
        end: datetime | date | None = None,
    ) -> Usage:
        """Return the model's tokens that answers used; by default since they are counted."""
        return self._get(_of(name) + "/usage", Usage.of, _period(begin, end))

    def logs(self, name: str, lines: int = 200, *, follow: bool = False) -> Generator[str]:
        """Yield the last lines that the endpoint's server printed; with `follow` also new ones.

        On AWS only the last lines. Following ends when the iterator is closed.
        """
        response = self._transport.send(
            "GET",
            _of(name) + "/logs",
            retry=always,
            query={"lines": lines, "follow": "true" if follow else "false"},
            stream=True,
            timeout=timeout_of(None) if follow else None,
        )
        with closing(response):
            try:
                yield from response.lines()
            except RequestError as error:
                raise self._transport.failure(error) from error

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

        A mapping is sent as JSON, bytes and text unchanged. `wait`: seconds to wait for an endpoint
        that is starting; `on_wait` gets the reason.

        Raises:
            MeterClosedProblem: the meter holds no time; `data` has the call that tops it up.
            NotServingProblem: it is not serving after `wait`.

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
        """Send the model a prompt, as `invoke` does, and yield its answer as it is generated.

        The prompt is sent when the first event is requested. A model that does not stream gives one
        event, `whole`. Closing the iterator stops the model. A stream that the gateway ends early,
        such as at the close of the meter, raises its problem.
        """
        return self._prompts.pieces(_of(name), payload, Patience(wait, on_wait), content_type)

    # ── Requests ────────────────────────────────────────────────────────────────────────────────

    def _change(self, name: str, path: str, body: Mapping[str, Any], key: str | None) -> Change:
        # Generated once: retries with the same key count once.
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        response = self._transport.send(
            "POST", _of(name) + path, retry=always, headers=headers, json=body
        )
        return made(Change.of, response)


def _of(name: str) -> str:
    return f"/endpoints/{quoted(name)}"


def _period(begin: datetime | date | None, end: datetime | date | None) -> dict[str, str | int]:
    limits = {"from": begin, "to": end}
    return {key: iso(value) for key, value in limits.items() if value is not None}
