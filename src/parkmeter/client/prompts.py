"""What a model answered to a prompt: whole, or in pieces as it comes. Pure."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's whole answer, unchanged. `left` and `closes_at` are the meter's, if it said so."""

    body: bytes
    content_type: str
    left: timedelta | None
    closes_at: datetime | None

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
