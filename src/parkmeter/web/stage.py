"""API Gateway's stage, which every local route answers with and without. Pure."""

STAGE = "/prod"

_PREFIX = STAGE.encode()
_SLASHED = _PREFIX + b"/"


def located(url: bytes) -> tuple[str, bytes, bytes]:
    """A request's target as stage (may be empty), raw path without it, and query; none decoded."""
    path, _, query = url.partition(b"?")
    if path.startswith(_SLASHED):
        return STAGE, path[len(_PREFIX) :], query
    if path == _PREFIX:
        return STAGE, b"/", query
    return "", path, query
