"""The endpoint that gave an id: of a response, a file, a batch. Bounded; in memory only.

Such an id stands in later requests that carry no `model`. One event loop.
"""

import re

MOST = 10_000
GIVING = tuple(
    b"/v1/" + kind
    for kind in (b"batches", b"conversations", b"files", b"responses", b"uploads", b"videos")
)
"""Paths whose answers to POST have an id that later requests name."""

_ID = re.compile(r"[A-Za-z0-9._:~-]{1,128}")
_KIND = 3
"""Segments of a path up to the kind of what an id is of: `/v1/files`."""


class GivenIds:
    """Ids and the endpoint that gave each; the oldest goes when there are too many."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._endpoints: dict[bytes, str] = {}

    def remember(self, id_: str | None, endpoint: str) -> None:
        """Remember an id, if there is one. What another endpoint gave stays with that one."""
        if id_ is None or not _ID.fullmatch(id_):
            return
        key = id_.encode()
        if self._endpoints.get(key, endpoint) != endpoint:
            return
        self._endpoints.pop(key, None)
        self._endpoints[key] = endpoint
        if len(self._endpoints) > self._most:
            del self._endpoints[next(iter(self._endpoints))]

    def endpoint_of(self, id_: str) -> str | None:
        """Return the endpoint that gave an id."""
        return self._endpoints.get(id_.encode("utf-8", "surrogateescape"))

    def endpoint_in(self, path: bytes) -> str | None:
        """Return the endpoint of the first known id in a path, `/v1/KIND/ID/…`."""
        if not self._endpoints:
            return None
        found = map(self._endpoints.get, path.split(b"/")[_KIND:])
        return next(filter(None, found), None)
