"""What an answer looks like: one protocol for the forms in which clients ask, and its bytes.

Knows texts, not how they are generated, nor HTTP's connections.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from parkmeter.model_server.batch_queue import Text
from parkmeter.model_server.errors import Problem
from parkmeter.model_server.payload import Payload


class Reply(Protocol):
    """The form of one answer, and the payload that it answers; `streams`: it comes in events.

    `prompts`: name of the field the prompts came in. A stream is `opening`, the pieces of each
    text, whose concatenation is the text, then `closing`, or `failure` if it breaks off.
    """

    @property
    def payload(self) -> Payload: ...  # noqa: D102 (see above)
    @property
    def streams(self) -> bool: ...  # noqa: D102
    @property
    def prompts(self) -> str: ...  # noqa: D102

    def body(self, texts: Sequence[Text]) -> bytes:
        """Return the answer as one document."""

    def opening(self) -> bytes:
        """Return the events before the first piece."""

    def piece(self, index: int, text: str) -> bytes:
        """Return the events for a piece of the text with this number."""

    def closing(self, texts: Sequence[Text]) -> bytes:
        """Return the events behind the last piece."""

    def failure(self, problem: Problem) -> bytes:
        """Return the events that end a stream which cannot go on."""


def to_json(document: Mapping[str, Any]) -> bytes:
    """Return a document as compact JSON."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def event(data: bytes) -> bytes:
    """Return data of one line as a server-sent event."""
    return b"data: " + data + b"\n\n"
