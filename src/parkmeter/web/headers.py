"""HTTP header fields passed through the gateway. Pure; knows no connection and no meter.

Hop-by-hop fields are dropped (RFC 9110, 7.6.1), and so are parkmeter's own; a field that could end
a line early is never written.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from parkmeter.errors import InvalidRequestError
from parkmeter.web.reported_headers import REPORTED

Fields = list[tuple[bytes, bytes]]
"""Pairs of name and value; names in lower case, as in ASGI."""

HEAD_LIMIT = 64 * 1024
"""Most bytes of a head, of requests and answers alike, as common servers have it. Without a bound
either side could fill our memory with headers."""

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
    b"api-key",
    b"authorization",
    b"x-api-key",
    # Written by us: framing and address of the next connection.
    b"content-length",
    b"host",
    # Answered by the gateway.
    b"expect",
    b"http2-settings",
    b"prefer",
}
_FORWARDED = b"x-forwarded-"
_COOKIES = frozenset({b"cookie", b"cookie2"})
_NOT_FORWARDED_WITH_COOKIES = _NOT_FORWARDED | REPORTED
_NOT_FORWARDED_AT_ALL = _NOT_FORWARDED_WITH_COOKIES | _COOKIES
_COOKIES_SET = frozenset({b"clear-site-data", b"set-cookie", b"set-cookie2"})
_OF_THE_ORIGIN = frozenset(
    {
        # What a browser keeps for all of the host, the dashboard and links in warnings included.
        b"alt-svc",
        b"nel",
        b"report-to",
        b"service-worker-allowed",
        b"strict-transport-security",
        # Which pages of other sites may read an answer: the gateway's own rule, `cross_origin`.
        b"access-control-allow-credentials",
        b"access-control-allow-headers",
        b"access-control-allow-methods",
        b"access-control-allow-origin",
        b"access-control-allow-private-network",
        b"access-control-expose-headers",
        b"access-control-max-age",
        b"timing-allow-origin",
    }
)
"""What concerns the gateway's host as a whole is not a model server's to say."""

_NOT_RETURNED = (
    _HOP_BY_HOP
    | _OF_THE_ORIGIN
    | {
        b"parkmeter-expires-at",
        b"parkmeter-seconds-left",
        b"preference-applied",
        # The client's credential is for the gateway: asked for it by a model server, a browser
        # would keep a password and add it from then on.
        b"www-authenticate",
    }
)
_NOT_RETURNED_NOR_COOKIES = _NOT_RETURNED | _COOKIES_SET
_DOCUMENT = re.compile(rb"html|xml|xsl|x-mixed-replace", re.IGNORECASE)
DOCUMENT_FIELDS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
"""Sent with an answer that a browser could run: a model's text is no page of the gateway's, so it
gets an origin of its own and no scripts."""
_DOCUMENT_LINES = "".join(
    f"{name.lower()}: {value}\r\n" for name, value in DOCUMENT_FIELDS.items()
).encode()
BODILESS = frozenset({204, 304})
"""Statuses of answers without a body."""
ONCE = (
    b"authorization",
    b"x-api-key",
    b"api-key",
    b"content-length",
    b"transfer-encoding",
    b"expect",
    b"host",
)
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
"""Status line of an answer, by status."""


@dataclass(frozen=True, slots=True)
class OwnHeaders:
    """Headers that an endpoint's server gets from the gateway.

    `lines`: one each, with its end. The client's headers of these `names` (lower case) do not pass.
    """

    lines: tuple[bytes, ...] = field(default=(), repr=False)
    names: frozenset[bytes] = frozenset()

    @classmethod
    def of(cls, headers: Mapping[str, str], dropped: Iterable[str] = ()) -> "OwnHeaders":
        """Return these headers; `dropped`: names of the client's that do not pass either."""
        return cls(
            tuple(f"{name}: {value}\r\n".encode("ascii") for name, value in headers.items()),
            frozenset(name.lower().encode("ascii") for name in (*headers, *dropped)),
        )


NO_OWN_HEADERS = OwnHeaders()


@dataclass(frozen=True, slots=True)
class Prefer:
    """A Prefer header (RFC 7240): its wait in seconds or None, and the remaining preferences."""

    wait: int | None
    rest: bytes


NO_PREFERENCE = Prefer(None, b"")


def repeated_field(
    fields: Fields, named: Mapping[bytes, bytes], names: Iterable[bytes] = ONCE
) -> str:
    """Return the name of a field that may stand once and came twice, or an empty string.

    Choosing one of the two would be a guess. `named`: the fields by name; `names`: those to stand
    once.
    """
    if len(named) != len(fields):
        for once in names:
            if once in named and sum(name == once for name, _ in fields) > 1:
                return once.decode().title()
    return ""


def wants_upgrade(fields: Fields) -> bool:
    """Return whether the client asks for another protocol on this connection.

    An offer of HTTP/2 (`h2c`) is none: its client goes on with HTTP/1.1 if the offer is ignored.
    """
    offered = {
        protocol.strip().lower()
        for name, value in fields
        if name == b"upgrade"
        for protocol in value.split(b",")
    }
    return bool(offered - {b"h2c", b""}) and b"upgrade" in _listed(fields)


def prefer_of(fields: Fields) -> Prefer:
    """Join the Prefer headers. The first `wait` counts; one without whole seconds is ignored."""
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


def base_of(scope: Mapping[str, Any]) -> str:
    """Return the address that the client of an ASGI request called, with the stage, if any."""
    return base_url(*called_in(scope))


def called_in(scope: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the scheme, host and stage that the client of an ASGI request called."""
    server = scope.get("server")
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    scheme = "https" if scope.get("scheme") == "https" else "http"
    return scheme, host_of(host, server and tuple(server)), scope.get("root_path", "")


def base_url(scheme: str, host: str, stage: str) -> str:
    """Return the gateway's address, up to where its own paths begin."""
    return f"{scheme}://{host}{stage}"


def host_in(field: bytes) -> str:
    """Return the host (and port) of a Host field, or an empty string if it is not valid."""
    valid = len(field) <= _LONGEST_HOST and _HOST.fullmatch(field)
    return field.decode("ascii") if valid else ""


def host_of(field: bytes, server: tuple[str, int | None] | None) -> str:
    """Return the host (and port) of a Host field, or the server's own if it is not valid."""
    # A value too long for a host would fill the cache: it may be as long as a head.
    return _host_of(field if len(field) <= _LONGEST_HOST else b"", server)


@lru_cache(maxsize=1024)
def _host_of(field: bytes, server: tuple[str, int | None] | None) -> str:
    if _HOST.fullmatch(field):
        return field.decode("ascii")
    name, port = server or ("localhost", None)
    name = f"[{name}]" if ":" in name else name
    return f"{name}:{port}" if port else name


@lru_cache(maxsize=1024)
def forwarded_value(client: str, host: str, scheme: str) -> bytes:
    """Return the value of a Forwarded field (RFC 7239) for a call from `client`.

    Cached with its arguments, so `host` must come from `host_of`, which bounds it.
    """
    node = "unknown"
    if _NODE.fullmatch(client):
        node = f'"[{client}]"' if ":" in client else client
    return f'for={node};host="{host}";proto={scheme}'.encode("ascii")


def request_head(  # noqa: PLR0913 (what a head is made of)
    line: bytes,
    fields: Fields,
    named: Mapping[bytes, bytes],
    own: Iterable[bytes],
    *,
    cookies: bool = False,
    dropped: frozenset[bytes] = frozenset(),
) -> bytes:
    """Return the head of a request to the model server, without its framing and its last line.

    It has the request `line`, those `fields` that may pass (by name: `named`), and our `own` lines.
    `line` and `own` include their line ends. Names with an underscore do not pass: many servers
    cannot tell them from the same name with a hyphen; nor do the `dropped` ones.

    Raises:
        InvalidRequestError: a name or value has a byte that would break the head.

    """
    stay: frozenset[bytes] | set[bytes]
    stay = _NOT_FORWARDED_WITH_COOKIES if cookies else _NOT_FORWARDED_AT_ALL
    if dropped:
        stay = stay | dropped
    if b"connection" in named:
        stay = stay | _listed(fields)
    passing = [
        b"%b: %b\r\n" % (name, value)
        for name, value in fields
        if name not in stay and b"_" not in name and name[:12] != _FORWARDED
    ]
    parts = [line, *passing, *own]
    head = b"".join(parts)
    # Our parser already refuses these. Counting line ends keeps a line from being smuggled in
    # behind any other server.
    lines = len(parts)
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise InvalidRequestError("A header contains a byte that is not allowed.")
    return head


def answer_head(
    status: int, fields: Fields, *, cookies: bool = False, document: bool = False
) -> bytes:
    """Return the status line and the header lines that may pass: no framing, nor the last line.

    `document`: its type is one that a browser could run; see `is_document`.
    """
    dropped = _NOT_RETURNED if cookies else _NOT_RETURNED_NOR_COOKIES
    lines = [b"%b: %b\r\n" % field for field in fields if field[0] not in dropped]
    if len(lines) != len(fields) and (listed := _listed(fields)):
        lines = [b"%b: %b\r\n" % field for field in fields if field[0] not in dropped | listed]
    if document:
        lines.append(_DOCUMENT_LINES)
    return STATUS_LINES[status] + b"".join(lines)


def is_document(content_type: bytes) -> bool:
    """Return whether a browser could run an answer of this type: HTML, SVG or any other XML."""
    return _DOCUMENT.search(content_type) is not None


def document_fields(content_type: str) -> Mapping[str, str]:
    """Return the fields to send with an answer of this type, beside the model's own."""
    return DOCUMENT_FIELDS if is_document(content_type.encode("latin-1", "replace")) else {}


def _listed(fields: Fields) -> set[bytes]:
    """Return the names that Connection fields list, except those that frame the message."""
    names = {
        option.strip().lower()
        for name, value in fields
        if name == b"connection"
        for option in value.split(b",")
    }
    return names - {b"content-length", b"host"}
