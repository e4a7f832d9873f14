"""HTTP header fields on their way through the gateway. Pure; knows no connection and no meter.

What belongs to one connection stays on it (RFC 9110, 7.6.1), what is parkmeter's own is taken off,
and no byte that could end a line is ever written into one.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus

from parkmeter.errors import InvalidRequestError
from parkmeter.web.asgi import Scope

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
BODILESS = frozenset({204, 304})
"""Statuses of answers that never have a body."""
_ONCE = (b"authorization", b"content-length", b"transfer-encoding", b"expect", b"host")
_LONGEST_HOST = 255
"""Bytes."""
_HOST = re.compile(rb"[A-Za-z0-9._:\[\]-]{1,%d}" % _LONGEST_HOST)
_NODE = re.compile(r"[A-Za-z0-9.:%_-]{1,255}")
_WAIT = re.compile(r'\s*wait\s*=\s*(?:"(\d{1,9})"|(\d{1,9}))\s*(?:;.*)?', re.IGNORECASE | re.ASCII)
_ANY_WAIT = re.compile(r"\s*wait\s*(?:=.*)?", re.IGNORECASE)
_PREFERENCE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')


_PHRASES = {status.value: status.phrase for status in HTTPStatus}
STATUS_LINES = {
    status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode()
    for status in range(200, 600)
}
"""The first line of an answer, by status."""


@dataclass(frozen=True, slots=True)
class Prefer:
    """A Prefer header (RFC 7240): the wait in seconds, None if there is none, and what remains."""

    wait: int | None
    rest: bytes


NO_PREFERENCE = Prefer(None, b"")


def repeated_field(fields: Fields, named: Mapping[bytes, bytes]) -> str:
    """A header that came twice and may come only once, or empty; `named` are the fields by name.

    Which of the two counts would be a guess.
    """
    if len(named) != len(fields):
        for once in _ONCE:
            if once in named and sum(name == once for name, _ in fields) > 1:
                return once.decode().title()
    return ""


def wants_upgrade(fields: Fields) -> bool:
    """Whether the client asks for another protocol on this connection."""
    return any(name == b"upgrade" for name, _ in fields) and b"upgrade" in _listed(fields)


def prefer_of(fields: Fields) -> Prefer:
    """The Prefer headers, joined. The first `wait` counts; one without whole seconds is ignored."""
    lines = [value for name, value in fields if name == b"prefer"]
    if not lines:
        return NO_PREFERENCE
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


def base_of(scope: Scope) -> str:
    """The address that the client of an ASGI request called, with the stage, if any."""
    server = scope.get("server")
    said = next((value for name, value in scope["headers"] if name == b"host"), b"")
    scheme = "https" if scope.get("scheme") == "https" else "http"
    return base_url(scheme, host_of(said, server and tuple(server)), scope.get("root_path", ""))


def base_url(scheme: str, host: str, stage: str) -> str:
    """An address of ours, up to where our own paths begin."""
    return f"{scheme}://{host}{stage}"


def host_of(said: bytes, server: tuple[str, int | None] | None) -> str:
    """The host (and port) a Host header says, or our own if that is none."""
    # What is too long for a host is not kept: it may be as long as a head.
    return _host_of(said if len(said) <= _LONGEST_HOST else b"", server)


@lru_cache(maxsize=1024)
def _host_of(said: bytes, server: tuple[str, int | None] | None) -> str:
    if _HOST.fullmatch(said):
        return said.decode("ascii")
    name, port = server or ("localhost", None)
    name = f"[{name}]" if ":" in name else name
    return f"{name}:{port}" if port else name


@lru_cache(maxsize=1024)
def forwarded_value(client: str, host: str, scheme: str) -> bytes:
    """The value of Forwarded (RFC 7239) for who called from `client`, where and how.

    All it is called with is kept for a while: `host` is one that `host_of` told.
    """
    node = "unknown"
    if _NODE.fullmatch(client):
        node = f'"[{client}]"' if ":" in client else client
    return f'for={node};host="{host}";proto={scheme}'.encode("ascii")


def request_head(
    line: bytes, fields: Fields, named: Mapping[bytes, bytes], own: Iterable[bytes]
) -> bytes:
    """The head of the request to the model server, open for its framing and its last line.

    The request `line`, what may pass of `fields` (by name: `named`), then `own` lines; these and
    `line` with their ends.

    Raises:
        InvalidRequestError: a name or value holds a byte that would break the head.

    """
    dropped: frozenset[bytes] | set[bytes] = _NOT_FORWARDED
    if b"connection" in named:
        dropped = dropped | _listed(fields)
    passing = [b"%b: %b\r\n" % field for field in fields if field[0] not in dropped]
    parts = [line, *passing, *own]
    head = b"".join(parts)
    # The server's parser lets none of these pass. One count says that no line was smuggled in,
    # whichever server stands in front.
    lines = len(parts)
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise InvalidRequestError("A header holds a byte that no header may hold.")
    return head


def answer_head(status: int, fields: Fields) -> bytes:
    """The status line and what may pass of an answer's headers, open for more lines."""
    dropped: frozenset[bytes] | set[bytes] = _NOT_RETURNED
    if status in BODILESS:
        dropped = dropped | {b"content-length"}  # many clients would wait for a body
    lines = [b"%b: %b\r\n" % field for field in fields if field[0] not in dropped]
    if len(lines) != len(fields) and (listed := _listed(fields)):
        lines = [b"%b: %b\r\n" % field for field in fields if field[0] not in dropped | listed]
    return STATUS_LINES[status] + b"".join(lines)


def _listed(fields: Fields) -> set[bytes]:
    """The names that Connection headers list; never the ones that frame the message."""
    names = {
        option.strip().lower()
        for name, value in fields
        if name == b"connection"
        for option in value.split(b",")
    }
    return names - {b"content-length", b"host"}
