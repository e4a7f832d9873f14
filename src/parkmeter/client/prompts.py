"""Prompts: sent to a model by its endpoint's name, answered whole or in pieces as they come."""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2

from parkmeter.client.errors import NotServingProblem
from parkmeter.client.transport import Transport, if_not_forwarded, if_unsent, silence_of
from parkmeter.errors import ParkmeterError

Payload = Mapping[str, Any] | bytes | str
"""A mapping is sent as JSON, bytes and text as they are."""

_SILENCE_SECONDS = 600.0
"""A model may think longer than a gateway; the same as the gateway's own limit."""

_HELD_SECONDS = 60
"""At most so long a gateway is asked to hold a prompt at once: proxies in between give up."""

_EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's whole answer, unchanged. `left` and `expires_at` are the meter's, if it said so."""

    body: bytes
    content_type: str
    left: timedelta | None
    expires_at: datetime | None

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.

        """
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event. A model that does not stream gives one, `whole`, with its answer."""

    event: str
    data: str
    whole: bool = False

    def json(self) -> Any:
        """The data as JSON.

        Raises:
            ValueError: it is none, such as OpenAI's last, `[DONE]`.

        """
        return json.loads(self.data)


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds a prompt waits for its endpoint, and who is told the reason meanwhile."""

    seconds: float
    on_wait: Callable[[NotServingProblem], None]

    def tell(self, error: ParkmeterError) -> None:
        """Pass the reason on, if it is one."""
        if isinstance(error, NotServingProblem):
            self.on_wait(error)


class Prompts:
    """The data plane of one gateway. `path` is that of the endpoint."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def whole(self, path: str, payload: Payload, patience: Patience, content_type: str) -> Reply:
        """The model's whole answer."""
        with closing(self._sent(path, payload, patience, content_type, "application/json")) as got:
            return _reply(got, self._read(got))

    def pieces(
        self, path: str, payload: Payload, patience: Patience, content_type: str
    ) -> Generator[Event]:
        """The model's answer as it comes."""
        accept = "application/json" if self._transport.address.one_piece else _EVENTS
        with closing(self._sent(path, payload, patience, content_type, accept)) as got:
            if not got.headers.get("content-type", "").startswith(_EVENTS):
                yield Event("message", self._read(got).decode("utf-8", "replace"), whole=True)
                return
            try:
                for event in httpx2.EventSource(got):
                    yield Event(event.event, event.data)
            except httpx2.TransportError as error:
                raise self._transport.broken(error) from error

    def _sent(
        self, path: str, payload: Payload, patience: Patience, content_type: str, accept: str
    ) -> httpx2.Response:
        headers = {"Accept": accept}
        if patience.seconds >= 1:
            # Held by the gateway where it can; where it cannot, sent again as it advises.
            headers["Prefer"] = f"wait={min(int(patience.seconds), _HELD_SECONDS)}"
        body: dict[str, Any] = {"json": payload}
        if isinstance(payload, bytes | str):
            body = {"body": payload.encode() if isinstance(payload, str) else payload}
            headers["Content-Type"] = content_type
        return self._transport.send(
            "POST",
            path + "/invocations",
            again=if_not_forwarded if patience.seconds else if_unsent,
            headers=headers,
            stream=True,
            timeout=silence_of(_SILENCE_SECONDS),
            patience=patience.seconds or None,
            on_pause=patience.tell,
            **body,
        )

    def _read(self, response: httpx2.Response) -> bytes:
        try:
            return response.read()
        except httpx2.TransportError as error:
            raise self._transport.broken(error) from error


def _reply(response: httpx2.Response, body: bytes) -> Reply:
    left = response.headers.get("Parkmeter-Seconds-Left")
    expires_at = response.headers.get("Parkmeter-Expires-At")
    return Reply(
        body=body,
        content_type=response.headers.get("content-type", ""),
        left=None if left is None else timedelta(seconds=float(left)),
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
    )
