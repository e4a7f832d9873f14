"""The head of a request for a model server, as the client's connection read it. Pure.

What follows from the head alone is computed once: on a kept connection most requests have the same
head as the one before, but for the length of their body, which is therefore not part of it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from parkmeter.errors import InvalidRequestError, ParkmeterError
from parkmeter.proxy.answer_reader import COUNTING
from parkmeter.proxy.given_ids import GIVING
from parkmeter.web import refusals
from parkmeter.web.credentials import credential_of, is_plain
from parkmeter.web.headers import (
    HEAD_LIMIT,
    NO_OWN_HEADERS,
    ONCE,
    Fields,
    OwnHeaders,
    Prefer,
    forwarded_value,
    host_of,
    prefer_of,
    repeated_field,
    request_head,
    wants_upgrade,
)
from parkmeter.web.public_address import PublicAddress
from parkmeter.web.routed_body import form_type_of
from parkmeter.web.routes import Route, Routes, Target
from parkmeter.web.server_paths import SHORT, needs_admin, needs_admin_cached, plain_path
from parkmeter.web.stage import Location, locate

_NOT_FORWARDED = frozenset({"CONNECT", "TRACE"})
_OF_THE_BODY = (b"content-type", b"content-encoding")
"""Headers that say how to read a body. Where that is ours to do, they stand once."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The two ends of a client's connection, and the scheme ("http", "https").

    `public` returns the rule in force for the addresses that its client is given.
    """

    client: str
    server: tuple[str, int | None] | None
    scheme: str
    public: Callable[[], PublicAddress] = PublicAddress


class RequestHead:
    """A request's line and headers: names in lower case, without Content-Length.

    `named`: by name; the last one of a header that came more than once. `authorization`: the
    caller's credential, as the value of that header. `http11`: an answer may be chunked and its
    connection kept. `target`: its target in `routes`, as its reader found it.
    `checked_for`: the target it was checked for. What came of that: `needs_admin`, the path is open
    to `admin` only; `reads_usage`, its answer may say what it used; `gives_ids`, the id of its
    answer is remembered. `routed`: the target that the last body behind this head was for, below
    `/v1`. `prompt`: it has the model work. Prompts are posted; a request that only reads
    (`GET /v1/models`, a probe) must neither buy time nor keep an endpoint from being idle.
    """

    def __init__(
        self, method: str, url: bytes, fields: Fields, peer: Peer, *, http11: bool
    ) -> None:
        self.method = method
        self.url = url
        self.fields = fields
        self.peer = peer
        self.http11 = http11
        self.prompt = method == "POST"
        self.named = dict(fields)
        self.authorization = self.named.get(b"authorization", b"")
        self._credential_refused = False
        if not is_plain(self.named, self.authorization):
            self._read_credential()
        self.expects_continue = self.named.get(b"expect", b"").lower() == b"100-continue"
        self.checked_for: Target | None = None
        self.needs_admin = False
        self.routes: Routes | None = None
        self.target: Target | None = None
        self.routed: Target | None = None
        self.reads_usage = self.gives_ids = False
        self._head_target: Target | None = None
        self._head_authority = b""
        self._head = b""

    def varied(self, changes: Iterable[tuple[int, bytes]]) -> "RequestHead":
        """Return this head with other values of some fields, by index, that only pass.

        What follows from all other fields stays known.
        """
        made = RequestHead.__new__(RequestHead)
        made.__dict__.update(self.__dict__)
        made.fields = fields = self.fields.copy()
        for index, value in changes:
            fields[index] = fields[index][0], value
        made.named = dict(fields)
        made._head_target = None  # noqa: SLF001 (its own class)
        return made

    def check_names(self) -> None:
        """Reject a head that two readers could take for different requests.

        Raises:
            InvalidRequestError: a header that may come only once came twice, Host is missing, or
                two headers hold different credentials.
            TokenRefusedError: its credential is not taken from where it comes from.

        """
        self._check_once()
        if self.http11 and b"host" not in self.named:
            raise InvalidRequestError("The header Host is missing.", field="Host")
        if self._credential_refused:
            credential_of(self.named, self.fields)

    def check_form(self, target: Target) -> None:
        """Reject a request that cannot be forwarded to a model server.

        Raises:
            Refusal: its method or upgrade is not served here.
            InvalidRequestError: its path is ambiguous.

        """
        closed = False
        if target.prompt:
            if self.method != "POST":
                raise refusals.method_not_allowed()
        elif self.method in _NOT_FORWARDED:
            raise refusals.method_not_forwarded()
        elif (route := target.route) is not None:
            path = target.path
            closed = (
                needs_admin_cached(route.paths, self.method, path)
                if len(path) <= SHORT
                else needs_admin(route.paths, self.method, plain_path(path))
            )
        self.check_upgrade()
        self.reads_usage = self.prompt and not target.path.endswith(COUNTING)
        self.gives_ids = target.path.startswith(GIVING)
        self.needs_admin = closed
        self.checked_for = target

    def check_upgrade(self) -> None:
        """Raise Refusal if the client asks for another protocol on this connection."""
        if b"upgrade" in self.named and wants_upgrade(self.fields):
            raise refusals.no_upgrade()

    def _check_once(self, names: Iterable[bytes] = ONCE) -> None:
        if twice := repeated_field(self.fields, self.named, names):
            raise InvalidRequestError(f"{twice} was sent more than once.", field=twice)

    def _read_credential(self) -> None:
        self.authorization = b""
        try:
            self.authorization = credential_of(self.named, self.fields)
        except ParkmeterError:
            self._credential_refused = True  # raised by `check_names`

    @cached_property
    def location(self) -> Location:
        """Stage, path and query."""
        return locate(self.url)

    @cached_property
    def form_type(self) -> bytes:
        """The type of a body that is a form, else empty; see `form_type_of`, which may raise."""
        self._check_once(_OF_THE_BODY)
        return form_type_of(self.named)

    @cached_property
    def prefer(self) -> Prefer:
        """The client's preferences."""
        return prefer_of(self.fields)

    @cached_property
    def host(self) -> str:
        """The host (and port) the client called, from its Host header if that is one."""
        return host_of(self.named.get(b"host", b""), self.peer.server)

    @property
    def base(self) -> str:
        """The address at which the client reaches our own paths: with its stage, if any."""
        peer = self.peer
        called = (peer.scheme, self.host, self.location.stage)
        return peer.public().base(peer.client, self.fields, called)

    def head_to(self, target: Target, route: Route, authority: bytes) -> bytes:
        """Return the head for a target at its server; written once for each. See `head_for`."""
        if self._head_target is not target or self._head_authority != authority:
            self._head = self.head_for(
                target.path, authority, cookies=route.cookies, own_headers=route.own_headers
            )
            self._head_target, self._head_authority = target, authority
        return self._head

    def head_for(
        self,
        path: bytes,
        authority: bytes,
        *,
        cookies: bool = False,
        own_headers: OwnHeaders = NO_OWN_HEADERS,
    ) -> bytes:
        """Return the head for `path` at the model server `authority`, open for the body's framing.

        `cookies`: the client's cookies are among its headers. `own_headers`: the endpoint's.

        Raises:
            InvalidRequestError: a header holds a byte that no header may hold.
            Refusal: it is larger than model servers accept.

        """
        whole = path
        if query := self.location.query:
            whole += (b"&" if b"?" in path else b"?") + query
        caller = forwarded_value(self.peer.client, self.host, self.peer.scheme)
        own = [b"Host: %b\r\n" % authority, b"Forwarded: %b\r\n" % caller, *own_headers.lines]
        if self.prefer.rest:
            own.append(b"Prefer: %b\r\n" % self.prefer.rest)
        line = b"%b %b HTTP/1.1\r\n" % (self.method.encode("ascii"), whole)
        head = request_head(
            line, self.fields, self.named, own, cookies=cookies, dropped=own_headers.names
        )
        if len(head) > HEAD_LIMIT:
            raise refusals.head_too_large(HEAD_LIMIT)
        return head
