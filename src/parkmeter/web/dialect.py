"""Dialect of a request: whose client sent it, hence the form its errors take. Pure."""

from enum import Enum, auto

_OPENAI = b"/v1/"
_ANTHROPIC = b"/v1/messages"


class Dialect(Enum):
    """Whose form of errors and of stream events a client reads."""

    PLAIN = auto()
    """No known client's: an RFC 9457 problem."""
    OPENAI = auto()
    ANTHROPIC = auto()


def dialect_of(server_path: bytes) -> Dialect:
    """Return the dialect of a path at a model server: raw, without stage and endpoint.

    The paths that stand once for all endpoints (`/v1/…`) are the same as at a server.
    """
    if not server_path.startswith(_OPENAI):
        return Dialect.PLAIN
    rest = server_path[len(_ANTHROPIC) :]
    if server_path.startswith(_ANTHROPIC) and rest[:1] in {b"", b"/", b"?"}:
        return Dialect.ANTHROPIC
    return Dialect.OPENAI


def dialect_at(path: bytes) -> Dialect:
    """Return the dialect of a path at the gateway: raw, without stage.

    Below `/v1/`, or below `/{api_resource}/v1/`, whether there is such an endpoint or not.
    """
    if path.startswith(_OPENAI):
        return dialect_of(path)
    resource_end = path.find(b"/", 1)
    return dialect_of(path[resource_end:]) if resource_end > 0 else Dialect.PLAIN
