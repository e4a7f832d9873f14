"""Requests to a gateway, retried where that is safe, within a bounded time.

Knows HTTP, addresses and problems, but not the routes.
"""

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from parkmeter._version import __version__
from parkmeter.client.address import Address
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


def timeout_of(seconds: float | None) -> httpx2.Timeout:
    """Return the timeout after this much silence; None: never."""
    connect = _CONNECT_SECONDS if seconds is None else min(seconds, _CONNECT_SECONDS)
    return httpx2.Timeout(seconds, connect=connect)


class Transport:
    """One gateway's connections. Thread-safe.

    `timeout`: seconds of silence after which a request fails. `patience`: seconds within which it
    may be retried.
    """

    def __init__(self, address: Address, timeout: float, patience: float) -> None:
        self.address = address
        self._patience = patience
        self._timeout = timeout_of(timeout)
        headers = {"User-Agent": f"parkmeter/{__version__}"}
        if address.token is not None:
            headers["Authorization"] = f"Bearer {address.token}"
        self._http = httpx2.Client(
            headers=headers,
            timeout=self._timeout,
            # A proxy from the environment would get the token for a gateway that it cannot reach.
            trust_env=not address.is_local,
            # Without TLS no certificates are needed, and loading them takes longer than the answer.
            verify=not address.url.startswith("http://"),
        )

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
        timeout: httpx2.Timeout | None = None,
        patience: float | None = None,
        on_pause: Callable[[ParkmeterError], None] = lambda _error: None,
    ) -> httpx2.Response:
        """Return the answer; with `stream` the caller reads and closes its body.

        `timeout` and `patience` override those of the transport. `on_pause` gets the reason before
        each retry.

        Raises:
            ParkmeterProblem: the answer is an error.
            UnreachableError: there is no answer.

        """
        request = self._http.build_request(
            method,
            self.address.url + path,
            params=dict(query) if query else None,
            headers=dict(headers) if headers else None,
            json=json,
            content=body,
            timeout=timeout or self._timeout,
        )
        deadline = time.monotonic() + (self._patience if patience is None else patience)
        sent = False
        for attempt in range(1_000_000):
            error, pause = self._attempt(request, stream=stream, attempt=attempt)
            if isinstance(error, httpx2.Response):
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

    def failure(self, error: httpx2.RequestError) -> UnreachableError:
        """Return the error for a request or an answer that broke off."""
        url = self.address.url
        sent = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        match error:
            case httpx2.ConnectError() | httpx2.ConnectTimeout() if self.address.is_local:
                advice = "Is the gateway running? `parkmeter up` starts one."
                detail = f"No answer at {url}. {advice}"
            case httpx2.ConnectError() | httpx2.ConnectTimeout():
                reason = f": {error}" if str(error) else ""
                detail = f"No answer at {url}{reason}. Check PARKMETER_URL and the network."
            case httpx2.TimeoutException():
                detail = f"{url} accepted the request and did not answer in time."
            case _:
                detail = f"The connection to {url} broke off before the answer was complete."
        return UnreachableError(detail, url, sent=sent)

    def _attempt(
        self, request: httpx2.Request, *, stream: bool, attempt: int
    ) -> tuple[httpx2.Response, None] | tuple[ParkmeterError, float | None]:
        """Return an answer, or the error and the seconds until a retry (None: no retry)."""
        backoff = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt, 10))
        backoff *= random.uniform(0.5, 1.0)  # noqa: S311 (spreads clients out; no secret)
        began = time.monotonic()
        try:
            response = self._http.send(request, stream=stream)
            if response.is_success:
                return response, None
            try:
                response.read()
            finally:
                response.close()
        except httpx2.RequestError as error:
            return self.failure(error), backoff
        problem = problem_of(response.status_code, _document(response), response.text)
        if response.status_code not in _TEMPORARY or problem.code in _FINAL:
            return problem, None
        seconds = response.headers.get("Retry-After", "")
        if seconds.isascii() and seconds.isdigit():
            # One that was held has waited already; the next attempt is held again.
            held = time.monotonic() - began >= _LONGEST_PAUSE and _HELD in response.headers
            return problem, backoff if held else float(seconds[:9])
        return problem, backoff if response.status_code == _TOO_MANY else None


_TOO_MANY = 429
_HELD = "Preference-Applied"


def document_of(response: httpx2.Response) -> Any:
    """Return the JSON of a successful answer.

    Raises:
        ParkmeterProblem: it is not JSON, so this is not a gateway.

    """
    document = _document(response)
    if document is None:
        raise unexpected(response.status_code, str(response.request.url))
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


def _document(response: httpx2.Response) -> Any:
    try:
        return response.json(parse_float=Written)
    except (ValueError, RecursionError):
        return None
