"""HTTP/1.1 over reused connections, by the standard library; knows no gateway.

A library for HTTP takes as long to import as a whole `parkmeter status` may run.
"""

import codecs
import http.client
import re
import selectors
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    import ssl

_PIECE_BYTES = 65_536
_PLAIN = "identity"
"""The encoding of bodies that `http.client` asks for."""

_OK, _REDIRECTION = 200, 300
_MOST_INTERIM = 16
"""Answers before the one that counts, itself included."""
_LINE_END = re.compile(r"\r\n|\n|\r")


class RequestError(Exception):
    """Raised when there is no answer, or not all of it."""


class NotConnectedError(RequestError):
    """Raised when there is no connection: nothing was sent."""


class SilentError(RequestError):
    """Raised when the other side was silent for too long."""


class BrokenOffError(RequestError):
    """Raised when the connection broke off before the answer was complete."""


@dataclass(frozen=True, slots=True)
class Timeout:
    """Seconds for connecting, and of silence after it; None: for ever."""

    connect: float
    silence: float | None


class Response:
    """An answer, whose body comes piece by piece. Names of headers are in lower case."""

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        url: str,
        pieces: Iterable[bytes],
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.url = url
        self._pieces = pieces
        self._whole: bytes | None = None
        self.close = close

    @property
    def is_success(self) -> bool:
        """Return whether its status is one of success."""
        return _OK <= self.status < _REDIRECTION

    def read(self) -> bytes:
        """Return the whole body.

        Raises:
            RequestError: it is not complete.

        """
        if self._whole is None:
            self._whole = b"".join(self._pieces)
        return self._whole

    @property
    def text(self) -> str:
        """Return the whole body as text."""
        return self.read().decode("utf-8", "replace")

    def lines(self) -> Iterator[str]:
        """Yield the lines of the body as they arrive."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        held: list[str] = []
        carriage = ""
        for piece in self._pieces:
            text = carriage + decoder.decode(piece)
            carriage = "\r" if text.endswith("\r") else ""  # perhaps the first half of a line's end
            first, *more = _LINE_END.split(text.removesuffix("\r"))
            held.append(first)
            if more:
                yield "".join(held)
                yield from more[:-1]
                held = [more[-1]]
        rest = "".join(held) + decoder.decode(b"", final=True)
        if rest or carriage:
            yield rest

    def events(self) -> Iterator[tuple[str, str]]:
        """Yield the type and the data of each server-sent event as it arrives."""
        kind, data = "", list[str]()
        for number, line in enumerate(self.lines()):
            name, _, value = (line if number else line.removeprefix("\ufeff")).partition(":")
            value = value.removeprefix(" ")
            if not line:
                if data:
                    yield kind or "message", "\n".join(data)
                kind, data = "", []
            elif name == "data":
                data.append(value)
            elif name == "event":
                kind = value


class Connections:
    """Connections to one address, used again. Thread-safe.

    `headers`: of every request. `proxies`: use those that the environment names.

    Raises:
        NotConnectedError: the proxy for this address cannot be used.

    """

    def __init__(self, url: str, headers: Mapping[str, str], *, proxies: bool) -> None:
        parts = urlsplit(url)
        self._url = url
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port
        self._proxy = _proxy_of(parts.scheme, self._host) if proxies else None
        self._headers = dict(headers)
        path = quote(parts.path, safe="/%:@!$&'()*+,;=~")
        if self._proxy is not None and not self._secure:
            # The proxy gets the whole address, and its own credentials beside the gateway's.
            path = f"http://{parts.netloc.rpartition('@')[2]}{path}"
            self._headers.update(self._proxy.headers)
        self._path = path
        self._lock = Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._closed = False
        self._tls: ssl.SSLContext | None = None

    def close(self) -> None:
        """Close the idle connections, and the others as soon as their answers end."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: Timeout,
    ) -> Response:
        """Return the answer, its body unread.

        Raises:
            RequestError: there is none.

        """
        connection = self._take() or self._connect(timeout)
        try:
            with _request_errors():
                connection.sock.settimeout(timeout.silence)
                connection.request(method, self._path + target, body, {**self._headers, **headers})
                answer = connection.getresponse()
        except BaseException:
            connection.close()
            raise

        def close() -> None:
            if not answer.isclosed():
                answer.close()
                connection.close()

        headers = {name.lower(): value for name, value in answer.headers.items()}
        if headers.get("content-encoding", _PLAIN) != _PLAIN:
            close()
            raise BrokenOffError("an encoding that was not asked for")
        pieces = self._pieces(connection, answer)
        return Response(answer.status, headers, self._url + target, pieces, close)

    def _pieces(
        self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse
    ) -> Iterator[bytes]:
        """Yield the body. Keep the connection after its end, and close it if it is not reached."""
        try:
            with _request_errors():
                while piece := answer.read1(_PIECE_BYTES):
                    yield piece
        except BaseException:
            answer.close()
            connection.close()
            raise
        missing = answer.length
        answer.close()
        if missing:
            connection.close()
            raise BrokenOffError(f"{missing} bytes are missing")
        with self._lock:
            if not self._closed and connection.sock is not None:
                self._idle.append(connection)
                return
        connection.close()

    def _take(self) -> http.client.HTTPConnection | None:
        """Return an idle connection that the other side has not closed."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            with selectors.DefaultSelector() as selector:
                selector.register(connection.sock, selectors.EVENT_READ)
                if not selector.select(0):
                    return connection
            connection.close()

    def _connect(self, timeout: Timeout) -> http.client.HTTPConnection:
        host, port = self._host, self._port
        if self._proxy is not None:
            host, port = self._proxy.host, self._proxy.port
        connection = http.client.HTTPConnection(host, port, timeout=timeout.connect)
        if self._secure:
            connection = http.client.HTTPSConnection(
                host, port, timeout=timeout.connect, context=self._context()
            )
            if self._proxy is not None:
                connection.set_tunnel(self._host, self._port, self._proxy.headers)
        connection.response_class = _Answer
        try:
            connection.connect()
        except (OSError, ValueError, http.client.HTTPException) as error:
            connection.close()  # a ValueError: the host is no name
            raise NotConnectedError(str(error)) from error
        return connection

    def _context(self) -> "ssl.SSLContext":
        """Return the settings of TLS, with the certificates that the machine trusts."""
        if self._tls is None:
            import ssl  # noqa: PLC0415 (only where TLS is spoken)

            import truststore  # noqa: PLC0415

            self._tls = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return self._tls


class _Answer(http.client.HTTPResponse):
    """An answer, past the interim ones before it, such as Early Hints of a proxy on the way.

    The standard library passes over status 100 alone, and takes another one for the whole answer:
    the next request on its connection would get the real one.
    """

    def begin(self) -> None:
        """Read the head."""
        for _ in range(_MOST_INTERIM):
            super().begin()
            if self.status >= _OK:
                return
            self.headers = self.msg = None  # type: ignore[assignment]  # as before the first
        raise http.client.HTTPException("too many interim answers")


@dataclass(frozen=True, slots=True)
class _Proxy:
    """A proxy, and the headers it wants."""

    host: str
    port: int
    headers: Mapping[str, str]


def _proxy_of(scheme: str, host: str) -> _Proxy | None:
    """Return the proxy that the environment names for an address; None: none.

    Raises:
        NotConnectedError: it cannot be used.

    """
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 (slow, and seldom needed)

    proxies = getproxies()
    address = proxies.get(scheme) or proxies.get("all")
    if not address or proxy_bypass(host):
        return None
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        port = parts.port or 80
    except ValueError:  # not shown: it may have a password
        raise NotConnectedError("the proxy that the environment names has no address") from None
    if parts.scheme != "http":
        raise NotConnectedError(f"a proxy of the scheme {parts.scheme} is not supported")
    headers = {}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    return _Proxy(parts.hostname or "", port, headers)


@contextmanager
def _request_errors() -> Iterator[None]:
    """Raise the errors of the standard library as those of this module."""
    try:
        yield
    except TimeoutError as error:
        raise SilentError(str(error)) from error
    except (OSError, http.client.HTTPException) as error:
        raise BrokenOffError(str(error)) from error
