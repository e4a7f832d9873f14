"""The head of one request for a model server, as the client's connection read it. Pure."""

from dataclasses import dataclass

from parkmeter.web.fields import (
    HEAD_LIMIT,
    Fields,
    Prefer,
    base_url,
    forwarded,
    host_said,
    request_head,
)
from parkmeter.web.refusals import head_too_large
from parkmeter.web.stage import Location


@dataclass(frozen=True, slots=True)
class Peer:
    """The two ends of a client's connection: who called, where, and how ("http", "https")."""

    client: str
    server: tuple[str, int | None] | None
    scheme: str


class Incoming:
    """One request's line and headers, names in lower case.

    `modern`: HTTP/1.1, so that an answer may be chunked and its connection kept.
    """

    __slots__ = ("fields", "location", "method", "modern", "named", "peer")

    def __init__(
        self, method: str, location: Location, fields: Fields, peer: Peer, *, modern: bool
    ) -> None:
        self.method = method
        self.location = location
        self.fields = fields
        self.named = dict(fields)
        """By name; of a header that came more than once the last."""
        self.peer = peer
        self.modern = modern

    @property
    def host(self) -> str:
        """The host (and port) the client called, from its Host header if that is one."""
        return host_said(self.named.get(b"host", b""), self.peer.server)

    @property
    def base(self) -> str:
        """The address the client called, up to where our own paths begin: with a stage, if any."""
        return base_url(self.peer.scheme, self.host, self.location.stage)

    @property
    def forwarded(self) -> bytes:
        """The value of Forwarded (RFC 7239) that tells a model server who called, where and how."""
        return forwarded(self.peer.client, self.host, self.peer.scheme)

    def head_for(self, path: bytes, authority: bytes, prefer: Prefer) -> bytes:
        """The head that asks the model server at `authority` for `path`, open for its framing.

        Raises:
            InvalidRequestError: a header holds a byte that no header may hold.
            Refusal: it is larger than model servers read.

        """
        if query := self.location.query:
            path += (b"&" if b"?" in path else b"?") + query
        line = b"%b %b HTTP/1.1\r\n" % (self.method.encode("ascii"), path)
        own = [b"Host: %b\r\n" % authority, b"Forwarded: %b\r\n" % self.forwarded]
        if prefer.rest:
            own.append(b"Prefer: %b\r\n" % prefer.rest)
        head = request_head(line, self.fields, self.named, own)
        if len(head) > HEAD_LIMIT:
            raise head_too_large(HEAD_LIMIT)
        return head
