"""Parts of the client's calls: a read, and how names, times and answers are written and read."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, TypeVar
from urllib.parse import quote

from parkmeter.client.connections import Response
from parkmeter.client.transport import Transport, always, document_of, unexpected

Answer = TypeVar("Answer")


class Calls:
    """Calls of one gateway over its transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _get(
        self,
        path: str,
        make: Callable[[Any], Answer],
        query: Mapping[str, str | int] | None = None,
    ) -> Answer:
        return made(make, self._transport.send("GET", path, retry=always, query=query))


def made(make: Callable[[Any], Answer], response: Response) -> Answer:
    """Return the value of an answer; raise ParkmeterProblem if it is none of this API."""
    try:
        return make(document_of(response))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise unexpected(response.status, response.url) from error


def quoted(segment: str) -> str:
    """Return one segment of a path, percent-encoded."""
    # An empty segment, or one of dots, would lead to another route.
    return quote(segment, safe="").replace(".", "%2E") or "%20"


def iso(moment: datetime | date) -> str:
    """Return a time in ISO 8601; one without a zone is in this machine's."""
    if isinstance(moment, datetime):
        return moment.astimezone().isoformat() if moment.tzinfo is None else moment.isoformat()
    return moment.isoformat()
