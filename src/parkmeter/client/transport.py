"""Requests to a gateway, retried where that is safe, within a bounded time.

Knows HTTP, addresses and problems, but not the routes.
"""

import json as jsonlib
import random
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

from parkmeter._version import __version__
from parkmeter.client.address import Address
from parkmeter.client.connections import (
    Connections,
    NotConnectedError,
    RequestError,
    Response,
    SilentError,
    Timeout,
)
from parkmeter.client.errors import ParkmeterProblem, UnreachableError, problem_of
from parkmeter.client.models import Written
from parkmeter.errors import ParkmeterError

RetryRule = Callable[[ParkmeterError], bool]
"""Returns whether a request may be retried after this error."""

_CONNECT_SECONDS = 5.0
"""A reachable gateway accepts a connection within this; its answer may take longer."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_TEMPORARY = frozenset({429, 502, 503})
_FINAL = frozenset({"over_budget"})
"""Codes with a temporary status that last longer than a client waits."""


def always(_error: ParkmeterError) -> bool:
    """Return True. For requests that may arrive twice: reads, or with an idempotency key."""
    return True


def if_unsent(error: ParkmeterError) -> bool:
    """Return whether it was never sent. For requests that must not arrive twice."""
    return isinstance(error, UnreachableError) and not error.sent


def if_not_forwarded(error: ParkmeterError) -> bool:
    """Return whether the model has not seen the prompt: the gateway holds or never got it."""
    waits = isinstance(error, ParkmeterProblem) and error.code in _NOT_FORWARDED
    return waits or if_unsent(error)


NOT_SERVING = "not_serving"
_NOT_FORWARDED = frozenset({NOT_SERVING, "too_many_in_flight"})


def timeout_of(seconds: float | None) -> Timeout:
    """Return the timeout after this much silence; None: never."""
    connect = _CONNECT_SECONDS if seconds is None else min(seconds, _CONNECT_SECONDS)
    return Timeout(connect, seconds)


class Transport:
    """One gateway's connections. Thread-safe.

    `timeout`: seconds of silence after which a request fails. `patience`: seconds within which it
    may be retried.

    Raises:
        UnreachableError: the proxy that the environment names for the address cannot be used.

    """

    def __init__(self, address: Address, timeout: float, patience: float) -> None:
        self.address = address
        self._patience = patience
        self._timeout = timeout_of(timeout)
        headers = {"User-Agent": f"parkmeter/{__version__}", "Accept": "*/*"}
        if address.token is not None:
            headers["Authorization"] = f"Bearer {address.token}"
        # A proxy from the environment would get the token for a gateway that it cannot reach.
        try:
            self._http = Connections(address.url, headers, proxies=not address.is_local)
        except RequestError as error:
            raise self.failure(error) from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(  # noqa: PLR0913 (a request has these parts)
        self,
        method: str,
        path: str,
        *,
        retry: RetryRule,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        body: bytes | None = None,
        stream: bool = False,
        timeout: Timeout | None = None,
        patience: float | None = None,
        on_pause: Callable[[ParkmeterError], None] = lambda _error: None,
    ) -> Response:
        """Return the answer; with `stream` the caller reads and closes its body.

        `timeout` and `patience` override those of the transport. `on_pause` gets the reason before
        each retry.

        Raises:
            ParkmeterProblem: the answer is an error.
            UnreachableError: there is no answer.

        """
        headers = dict(headers or {})
        if json is not None:
            body = jsonlib.dumps(json, ensure_ascii=False, allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        target = f"{path}?{urlencode(query)}" if query else path

        def ask() -> Response:
            response = self._http.send(method, target, headers, body, timeout or self._timeout)
            if not stream or not response.is_success:
                with closing(response):
                    response.read()
            return response

        deadline = time.monotonic() + (self._patience if patience is None else patience)
        sent = False
        for attempt in range(1_000_000):
            error, pause = self._attempt(ask, attempt)
            if isinstance(error, Response):
                return error
            if isinstance(error, UnreachableError):
                error = error.after_one_sent() if sent else error
                sent = error.sent
            elif isinstance(error, ParkmeterProblem) and error.status in _TEMPORARY:
                error.earlier_sent = sent
            if pause is None or not retry(error) or time.monotonic() + pause > deadline:
                raise error
            on_pause(error)
            time.sleep(pause)
        raise AssertionError  # patience ends first

    def failure(self, error: RequestError) -> UnreachableError:
        """Return the error for a request or an answer that broke off."""
        url = self.address.url
        sent = not isinstance(error, NotConnectedError)
        match error:
            case NotConnectedError() if self.address.is_local:
                advice = "Is the gateway running? `parkmeter up` starts one."
                detail = f"No answer at {url}. {advice}"
            case NotConnectedError():
                reason = f": {error}" if str(error) else ""
                detail = f"No answer at {url}{reason}. Check PARKMETER_URL and the network."
            case SilentError():
                detail = f"{url} accepted the request and did not answer in time."
            case _:
                detail = f"The connection to {url} broke off before the answer was complete."
        return UnreachableError(detail, url, sent=sent)

    def _attempt(
        self, ask: Callable[[], Response], attempt: int
    ) -> tuple[Response, None] | tuple[ParkmeterError, float | None]:
        """Return an answer, or the error and the seconds until a retry (None: no retry)."""
        backoff = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt, 10))
        backoff *= random.uniform(0.5, 1.0)  # noqa: S311 (spreads clients out; no secret)
        began = time.monotonic()
        try:
            response = ask()
        except RequestError as error:
            return self.failure(error), backoff
        if response.is_success:
            return response, None
        problem = problem_of(response.status, _document(response), response.text)
        if response.status not in _TEMPORARY or problem.code in _FINAL:
            return problem, None
        seconds = response.headers.get("retry-after", "")
        if seconds.isascii() and seconds.isdigit():
            # One that was held has waited already; the next attempt is held again.
            held = time.monotonic() - began >= _LONGEST_PAUSE and _HELD in response.headers
            return problem, backoff if held else float(seconds[:9])
        return problem, backoff if response.status == _TOO_MANY else None


_TOO_MANY = 429
_HELD = "preference-applied"


def document_of(response: Response) -> Any:
    """Return the JSON of a successful answer.

    Raises:
        ParkmeterProblem: it is not JSON, so this is not a gateway.

    """
    document = _document(response)
    if document is None:
        raise unexpected(response.status, response.url)
    return document


def unexpected(status: int, url: str) -> ParkmeterProblem:
    """Return the problem for an answer that is not a gateway's."""
    return ParkmeterProblem(
        "unexpected_answer",
        status,
        "Not a gateway's answer",
        f"{url} answered, but not as a parkmeter gateway does. Check PARKMETER_URL; on AWS it ends "
        "with the stage, /prod.",
        {},
    )


def _document(response: Response) -> Any:
    try:
        return jsonlib.loads(response.read(), parse_float=Written)
    except (ValueError, RecursionError):
        return None
