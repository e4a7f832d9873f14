"""HTTP header fields on their way through the gateway. Pure; knows no connection and no meter.

What belongs to one connection stays on it (RFC 9110, 7.6.1), what is parkmeter's own is taken off,
and no byte that could end a line is ever written into one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from parkmeter.errors import InvalidRequestError
from parkmeter.web.asgi_types import Scope

Fields = list[tuple[bytes, bytes]]
"""Names in lower case, as ASGI has them."""

HEAD_LIMIT = 64 * 1024
"""Bytes of a head, of requests and answers alike: what common servers read at most. Without a bound
either side could make us keep headers without end."""

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_NOT_FORWARDED = _HOP_BY_HOP | {
    # The gateway's own credential, which must never reach a model server.
    b"authorization",
    # Written anew: framing and address of the next connection.
    b"content-length",
    b"host",
    # Answered by the gateway.
    b"expect",
    b"http2-settings",
    b"prefer",
    # What a client says of itself must not look as if a proxy had said it.
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
}
_NOT_RETURNED = _HOP_BY_HOP | {
    b"parkmeter-expires-at",
    b"parkmeter-seconds-left",
    b"preference-applied",
}
_ONCE = (b"authorization", b"content-length", b"transfer-encoding", b"expect", b"host")
_HOST = re.compile(rb"[A-Za-z0-9._:\[\]-]{1,255}")
_NODE = re.compile(r"[A-Za-z0-9.:%_-]{1,255}")
_WAIT = re.compile(r'\s*wait\s*=\s*(?:"(\d{1,9})"|(\d{1,9}))\s*(?:;.*)?', re.IGNORECASE | re.ASCII)
_ANY_WAIT = re.compile(r"\s*wait\s*(?:=.*)?", re.IGNORECASE)
_PREFERENCE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')


@dataclass(frozen=True, slots=True)
class Prefer:
    """A Prefer header (RFC 7240): the wait in seconds, None if there is none, and what remains."""

    wait: int | None
    rest: bytes


NOTHING_PREFERRED = Prefer(None, b"")


def named_once(fields: Fields) -> dict[bytes, bytes]:
    """The headers by name; of those that may come more often the last.

    Raises:
        InvalidRequestError: one that may come only once came again; which counts would be a guess.

    """
    named = dict(fields)
    if len(named) != len(fields):
        for once in _ONCE:
            if once in named and sum(name == once for name, _ in fields) > 1:
                label = once.decode().title()
                raise InvalidRequestError(f"{label} was sent more than once.", field=label)
    return named


def upgrade_wanted(fields: Fields) -> bool:
    """Whether the client asks for another protocol on this connection."""
    return any(name == b"upgrade" for name, _ in fields) and b"upgrade" in _listed(fields)


def prefer_of(fields: Fields) -> Prefer:
    """The Prefer headers, joined. The first `wait` counts; one without whole seconds is ignored."""
    lines = [value for name, value in fields if name == b"prefer"]
    if not lines:
        return NOTHING_PREFERRED
    wait: int | None = None
    seen = False
    rest = []
    for preference in _PREFERENCE.findall(b", ".join(lines).decode("latin-1")):
        if not _ANY_WAIT.fullmatch(preference.partition(";")[0]):
            rest.append(preference.strip())
        elif not seen:
            seen = True
            found = _WAIT.fullmatch(preference)
            wait = int(found[1] or found[2]) if found else None
    return Prefer(wait, ", ".join(filter(None, rest)).encode("latin-1"))


def host_of(scope: Scope) -> str:
    """The host (and port) the client called, from its Host header if that is one."""
    server = scope.get("server")
    for name, value in scope["headers"]:
        if name == b"host":
            return _host(value, server and tuple(server))
    return _host(b"", server and tuple(server))


def scheme_of(scope: Scope) -> str:
    """How the client called."""
    return "https" if scope.get("scheme") == "https" else "http"


def base_of(scope: Scope) -> str:
    """The address the client called, up to where our own paths begin: with a stage, if any."""
    return f"{scheme_of(scope)}://{host_of(scope)}{scope.get('root_path', '')}"


def forwarded_for(scope: Scope) -> bytes:
    """The value of Forwarded (RFC 7239) that tells a model server who called, where and how."""
    client = scope.get("client")
    return _forwarded(client[0] if client else "", host_of(scope), scheme_of(scope))


@lru_cache(maxsize=1024)
def _host(said: bytes, server: tuple[str, int | None] | None) -> str:
    if _HOST.fullmatch(said):
        return said.decode("ascii")
    name, port = server or ("localhost", None)
    name = f"[{name}]" if ":" in name else name
    return f"{name}:{port}" if port else name


@lru_cache(maxsize=1024)
def _forwarded(client: str, host: str, scheme: str) -> bytes:
    node = "unknown"
    if _NODE.fullmatch(client):
        node = f'"[{client}]"' if ":" in client else client
    return f'for={node};host="{host}";proto={scheme}'.encode("ascii")


def request_head(
    method: str, path: bytes, query: bytes, fields: Fields, own: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """The head of the request to the model server, open for its framing and its last line.

    What may pass of `fields`, then `own`.

    Raises:
        InvalidRequestError: a name or value holds a byte that would break the head.

    """
    dropped: frozenset[bytes] | set[bytes] = _NOT_FORWARDED
    if any(name == b"connection" for name, _ in fields):
        dropped = dropped | _listed(fields)
    parts = [method.encode("ascii"), b" ", path]
    if query:
        parts += (b"&" if b"?" in path else b"?", query)
    parts.append(b" HTTP/1.1\r\n")
    lines = 1
    for name, value in fields:
        if name not in dropped:
            parts += (name, b": ", value, b"\r\n")
            lines += 1
    for name, value in own:
        parts += (name, b": ", value, b"\r\n")
        lines += 1
    head = b"".join(parts)
    # The server's parser lets none of these pass. One count says that no line was smuggled in,
    # whichever server stands in front.
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise InvalidRequestError("A header holds a byte that no header may hold.")
    return head


def answer_fields(status: int, fields: Fields) -> Fields:
    """What may pass of an answer's headers."""
    passing = [field for field in fields if field[0] not in _NOT_RETURNED]
    if len(passing) != len(fields):
        listed = _listed(fields)
        passing = [field for field in passing if field[0] not in listed]
    if status in {204, 304}:
        # A length without a body would make the server in front of us wait for one.
        passing = [field for field in passing if field[0] != b"content-length"]
    return passing


def _listed(fields: Fields) -> set[bytes]:
    """The names that Connection headers list; never the ones that frame the message."""
    names = {
        option.strip().lower()
        for name, value in fields
        if name == b"connection"
        for option in value.split(b",")
    }
    return names - {b"content-length", b"host"}
