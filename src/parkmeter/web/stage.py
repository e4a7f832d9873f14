"""API Gateway's stage, an optional prefix of every local route. Pure."""

from dataclasses import dataclass

STAGE = "/prod"

_PREFIX = STAGE.encode()
_SLASHED = _PREFIX + b"/"


@dataclass(frozen=True, slots=True)
class Location:
    """A request's target: the stage or an empty string, the raw path after it, the raw query."""

    stage: str
    path: bytes
    query: bytes


def locate(url: bytes) -> Location:
    """Split a request target; of one in absolute form (RFC 9112, 3.2.2) the host is dropped."""
    if not url.startswith(b"/"):
        url = b"/" + url.partition(b"://")[2].partition(b"/")[2]
    path, _, query = url.partition(b"?")
    if path.startswith(_SLASHED):
        return Location(STAGE, path[len(_PREFIX) :], query)
    if path == _PREFIX:
        return Location(STAGE, b"/", query)
    return Location("", path, query)
