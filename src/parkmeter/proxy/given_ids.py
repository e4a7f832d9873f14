"""The endpoint that gave an id: of a response, a file, a batch. Bounded; in memory only.

Such an id stands in later requests that carry no `model`. One event loop.
"""

import re
from itertools import pairwise

MOST = 10_000
"""Ids of one endpoint: many of one must not drive out those of another."""

_KINDS = frozenset({b"batches", b"conversations", b"files", b"responses", b"uploads", b"videos"})
GIVING = tuple(b"/v1/" + kind for kind in sorted(_KINDS))
"""Paths whose answers to POST have an id that later requests name."""

_ID = re.compile(r"(?=.*[0-9A-Z])[A-Za-z0-9._:~-]{1,128}")
"""Not a plain word: those stand in paths too (`/v1/responses/compact`, with a `model` in its body),
and a server that gave one as an id would get the prompts for others."""

_VERSION = 2
"""Segments of a path up to `/v1`."""


class GivenIds:
    """Ids and the endpoint that gave each; its oldest goes when there are too many of one."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._endpoints: dict[bytes, str] = {}
        self._given: dict[str, dict[bytes, None]] = {}
        """The ids of each endpoint, the oldest first."""

    def remember(self, id_: str | None, endpoint: str) -> None:
        """Remember an id, if there is one. What another endpoint gave stays with that one."""
        if id_ is None or not _ID.fullmatch(id_):
            return
        key = id_.encode()
        if self._endpoints.get(key, endpoint) != endpoint:
            return
        given = self._given.setdefault(endpoint, {})
        given.pop(key, None)
        given[key] = None
        self._endpoints[key] = endpoint
        if len(given) > self._most:
            oldest = next(iter(given))
            del given[oldest], self._endpoints[oldest]

    def endpoint_of(self, id_: str) -> str | None:
        """Return the endpoint that gave an id."""
        return self._endpoints.get(id_.encode("utf-8", "surrogateescape"))

    def endpoint_in(self, path: bytes) -> str | None:
        """Return the endpoint of the first known id in a path: `/v1/KIND/ID`, `/v1/…/KIND/ID`."""
        if not self._endpoints:
            return None
        pairs = pairwise(path.split(b"/")[_VERSION:])
        found = (self._endpoints.get(id_) for kind, id_ in pairs if kind in _KINDS)
        return next(filter(None, found), None)
