"""Prompts to a model by its endpoint's name; answers whole or streamed."""

import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from parkmeter.client.connections import RequestError, Response
from parkmeter.client.errors import NotServingProblem, ParkmeterProblem, problem_in
from parkmeter.client.transport import Transport, if_not_forwarded, if_unsent, timeout_of
from parkmeter.errors import ParkmeterError

Payload = Mapping[str, Any] | bytes | str
"""A mapping is sent as JSON, bytes and text unchanged."""

_SILENCE_SECONDS = 600.0
"""A model may be silent longer than a gateway; the gateway's own limit."""

_HELD_SECONDS = 60
"""The longest `Prefer: wait` that is sent: proxies in between would give up."""

_EVENTS = "text/event-stream"

_PROGRESS = '"chatcmpl-parkmeter"'
"""In the events by which a gateway shows that an endpoint starts; see the setting `loading`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's whole answer, unchanged. `left` and `expires_at` are the meter's, if known."""

    body: bytes
    content_type: str
    left: timedelta | None
    expires_at: datetime | None

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: it is not JSON.

        """
        return _json(self.body)


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event. A model that does not stream gives one, `whole`, with its answer."""

    event: str
    data: str
    whole: bool = False

    def json(self) -> Any:
        """Return the data as JSON.

        Raises:
            ValueError: it is not JSON, such as OpenAI's last, `[DONE]`.

        """
        return _json(self.data)


@dataclass(frozen=True, slots=True)
class Patience:
    """The seconds that a prompt waits for its endpoint, and the callback for the reason."""

    seconds: float
    on_wait: Callable[[NotServingProblem], None]

    def report(self, error: ParkmeterError) -> None:
        """Call the callback if the endpoint is not serving yet."""
        if isinstance(error, NotServingProblem):
            self.on_wait(error)


class Prompts:
    """The data plane of one gateway. `path` is the endpoint's."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def whole(self, path: str, payload: Payload, patience: Patience, content_type: str) -> Reply:
        """Return the model's whole answer."""
        with closing(
            self._send(path, payload, patience, content_type, "application/json")
        ) as response:
            return _reply(response, self._read(response))

    def pieces(
        self, path: str, payload: Payload, patience: Patience, content_type: str
    ) -> Generator[Event]:
        """Yield the model's answer as it arrives."""
        accept = "application/json" if self._transport.address.is_api_gateway else _EVENTS
        until, begun = time.monotonic() + patience.seconds, False
        with closing(self._send(path, payload, patience, content_type, accept)) as response:
            if not response.headers.get("content-type", "").startswith(_EVENTS):
                yield Event("message", self._read(response).decode("utf-8", "replace"), whole=True)
                return
            try:
                for kind, data in response.events():
                    event = Event(kind, data)
                    if (problem := _problem_of(event)) is None:
                        begun = begun or _PROGRESS not in event.data
                        yield event
                        continue
                    left = until - time.monotonic()
                    if begun or left < 1 or not isinstance(problem, NotServingProblem):
                        raise problem
                    # Its head came while the endpoint started, so this is a 503 like any other.
                    patience.report(problem)
                    rest = Patience(left, patience.on_wait)
                    yield from self.pieces(path, payload, rest, content_type)
                    return
            except RequestError as error:
                raise self._transport.failure(error) from error

    def _send(
        self, path: str, payload: Payload, patience: Patience, content_type: str, accept: str
    ) -> Response:
        # The gateway holds it if it can, else it is retried as the gateway advises.
        wait = min(int(patience.seconds), _HELD_SECONDS)
        headers = {"Accept": accept, "Prefer": f"wait={wait}"}
        body: dict[str, Any] = {"json": payload}
        if isinstance(payload, bytes | str):
            body = {"body": payload.encode() if isinstance(payload, str) else payload}
            headers["Content-Type"] = content_type
        return self._transport.send(
            "POST",
            path + "/invocations",
            retry=if_not_forwarded if patience.seconds else if_unsent,
            headers=headers,
            stream=True,
            timeout=timeout_of(_SILENCE_SECONDS),
            patience=patience.seconds or None,
            on_pause=patience.report,
            **body,
        )

    def _read(self, response: Response) -> bytes:
        try:
            return response.read()
        except RequestError as error:
            raise self._transport.failure(error) from error


def _problem_of(event: Event) -> ParkmeterProblem | None:
    """Return the gateway's problem if this event, the last one, is it."""
    if '"error"' not in event.data:
        return None
    try:
        return problem_in(event.json())
    except ValueError:
        return None


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _reply(response: Response, body: bytes) -> Reply:
    left = response.headers.get("parkmeter-seconds-left")
    expires_at = response.headers.get("parkmeter-expires-at")
    return Reply(
        body=body,
        content_type=response.headers.get("content-type", ""),
        left=None if left is None else timedelta(seconds=float(left)),
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
    )
