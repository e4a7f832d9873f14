"""API Gateway's stage, which every local route answers with and without. Pure."""

from dataclasses import dataclass

STAGE = "/prod"

_PREFIX = STAGE.encode()
_SLASHED = _PREFIX + b"/"


@dataclass(frozen=True, slots=True)
class Location:
    """A request's target: `stage` may be empty, `path` is raw and without it; none is decoded."""

    stage: str
    path: bytes
    query: bytes


def locate(url: bytes) -> Location:
    """Where a request goes; an address as proxies are asked it (RFC 9112, 3.2.2) loses its host."""
    if not url.startswith(b"/"):
        url = b"/" + url.partition(b"://")[2].partition(b"/")[2]
    path, _, query = url.partition(b"?")
    if path.startswith(_SLASHED):
        return Location(STAGE, path[len(_PREFIX) :], query)
    if path == _PREFIX:
        return Location(STAGE, b"/", query)
    return Location("", path, query)
