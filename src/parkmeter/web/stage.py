"""API Gateway's stage, which every local route answers with and without. Pure."""

from typing import NamedTuple

STAGE = "/prod"

_PREFIX = STAGE.encode()
_SLASHED = _PREFIX + b"/"


class Location(NamedTuple):
    """A request's target: `stage` may be empty, `path` is raw and without it; none is decoded."""

    stage: str
    path: bytes
    query: bytes


def located(url: bytes) -> Location:
    """Where a request goes."""
    path, _, query = url.partition(b"?")
    if path.startswith(_SLASHED):
        return Location(STAGE, path[len(_PREFIX) :], query)
    if path == _PREFIX:
        return Location(STAGE, b"/", query)
    return Location("", path, query)
