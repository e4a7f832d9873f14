"""Requests to a gateway, sent again where that is harmless, within a bounded time.

Knows HTTP, addresses and problems; not what the routes mean.
"""

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from parkmeter._version import __version__
from parkmeter.client.address import Address
from parkmeter.client.errors import (
    NotServingProblem,
    ParkmeterProblem,
    UnreachableError,
    problem_of,
)
from parkmeter.client.models import Written
from parkmeter.errors import ParkmeterError

Again = Callable[[ParkmeterError], bool]
"""Whether a request that failed so may be sent again."""

_CONNECT_SECONDS = 5.0
"""Who is there at all is known within this; how long the answer takes is another matter."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_PASSING = frozenset({429, 502, 503})
_FINAL = frozenset({"over_budget"})
"""Codes under a passing status that do not pass within a client's patience."""


def if_harmless(_error: ParkmeterError) -> bool:
    """For requests that may come twice: they only look, or carry an idempotency key."""
    return True


def if_unsent(error: ParkmeterError) -> bool:
    """For requests that must not come twice."""
    return isinstance(error, UnreachableError) and not error.sent


def if_not_forwarded(error: ParkmeterError) -> bool:
    """For prompts that wait: the gateway said itself that the model has not seen this one."""
    waits = isinstance(error, NotServingProblem) and error.code == NOT_SERVING
    return waits or if_unsent(error)


NOT_SERVING = "not_serving"


def silence_of(seconds: float | None) -> httpx2.Timeout:
    """The timeout that puts up with so much silence; None: with any."""
    connect = _CONNECT_SECONDS if seconds is None else min(seconds, _CONNECT_SECONDS)
    return httpx2.Timeout(seconds, connect=connect)


class Transport:
    """One gateway's connections. Threads may share it.

    `timeout`: seconds of silence that are put up with. `patience`: seconds within which a failed
    request may be sent again.
    """

    def __init__(self, address: Address, timeout: float, patience: float) -> None:
        self.address = address
        self._patience = patience
        self._timeout = silence_of(timeout)
        headers = {"User-Agent": f"parkmeter/{__version__}"}
        if address.token is not None:
            headers["Authorization"] = f"Bearer {address.token}"
        self._http = httpx2.Client(
            headers=headers,
            timeout=self._timeout,
            # A proxy of the environment would be handed the token of a gateway it cannot reach.
            trust_env=not address.here,
            # Without TLS no certificates need be loaded, which takes longer than the answer.
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
        again: Again,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        body: bytes | None = None,
        stream: bool = False,
        timeout: httpx2.Timeout | None = None,
        patience: float | None = None,
        on_pause: Callable[[ParkmeterError], None] = lambda _error: None,
    ) -> httpx2.Response:
        """The answer, if it is a good one; with `stream` its body is still to be read and closed.

        `timeout` and `patience` replace what the transport was made with. `on_pause` is told why,
        before it is tried again.

        Raises:
            ParkmeterProblem: the answer was an error.
            UnreachableError: there was none.

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
        give_up = time.monotonic() + (self._patience if patience is None else patience)
        for attempt in range(1_000_000):
            error, pause = self._attempt(request, stream=stream, attempt=attempt)
            if isinstance(error, httpx2.Response):
                return error
            if pause is None or not again(error) or time.monotonic() + pause > give_up:
                raise error
            on_pause(error)
            time.sleep(pause)
        raise AssertionError  # patience ends before numbers do

    def broken(self, error: httpx2.TransportError) -> UnreachableError:
        """What became of a request or of an answer that was under way."""
        url = self.address.url
        sent = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        match error:
            case httpx2.ConnectError() | httpx2.ConnectTimeout() if self.address.here:
                advice = "Is the gateway running? `parkmeter up` starts one."
                detail = f"Nobody answers at {url}. {advice}"
            case httpx2.ConnectError() | httpx2.ConnectTimeout():
                why = f": {error}" if str(error) else ""
                detail = f"Nobody answers at {url}{why}. Check PARKMETER_URL and the network."
            case httpx2.TimeoutException():
                detail = f"{url} took the request and did not answer in time."
            case _:
                detail = f"The connection to {url} broke off before the answer was whole."
        return UnreachableError(detail, url, sent=sent)

    def _attempt(
        self, request: httpx2.Request, *, stream: bool, attempt: int
    ) -> tuple[httpx2.Response, None] | tuple[ParkmeterError, float | None]:
        """An answer, or what went wrong and after how many seconds it might not (None: never)."""
        backoff = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt, 10))
        backoff *= random.uniform(0.5, 1.0)  # noqa: S311 (spreads clients out; no secret)
        try:
            response = self._http.send(request, stream=stream)
            if response.is_success:
                return response, None
            try:
                response.read()
            finally:
                response.close()
        except httpx2.TransportError as error:
            return self.broken(error), backoff
        problem = problem_of(response.status_code, _document(response), response.text)
        if response.status_code not in _PASSING or problem.code in _FINAL:
            return problem, None
        told = response.headers.get("Retry-After", "")
        if told.isascii() and told.isdigit():
            return problem, float(told[:9])
        return problem, backoff if response.status_code == _TOO_MANY else None


_TOO_MANY = 429


def document_of(response: httpx2.Response) -> Any:
    """The JSON of a good answer.

    Raises:
        ParkmeterProblem: it is none, so who answers is no gateway.

    """
    document = _document(response)
    if document is None:
        raise unexpected(response.status_code, str(response.request.url))
    return document


def unexpected(status: int, url: str) -> ParkmeterProblem:
    """For an answer that is not what a gateway answers."""
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
    except ValueError:
        return None
