"""Heads that were read before on a client's connection, so that a repeat is not parsed again.

A client sends the same head again and again; what differs is the length of the body, and perhaps a
header that traces the request. The parser reads such a head once. After that a read is compared
with its bytes, and means what it meant: the same `RequestHead`, which goes the ordinary way.

The rules, and why each holds:

1. *It declines, or it is right.* `find` changes nothing outside of this module. Whatever it does
   not know byte for byte goes to the parser, which stands between two requests and is left there.
2. *One connection, one memo.* The peers, the scheme and the connection's limits are then the same,
   no client has a part in what another one's bytes mean, and it ends with the connection.
3. *Only heads that the parser read as splitting at CRLF reads them.* The fields are compared one by
   one; a bare CR or LF, NUL, a folded line, blanks before a colon, a trailer are read in two ways.
4. *Only after their token was accepted*, so a stranger cannot have us keep or compare anything.
5. *Only POST with HTTP/1.1, exactly one Content-Length, and none of `_NOT_KEPT`*: these fields
   change how a request is framed, or what is done before its body comes. `Connection: keep-alive`,
   which most Python clients send, changes nothing.
6. *The length has to be written as we would write it*, so `070`, `+70` and all that two readers
   could take for different numbers goes to the parser. So does a head in pieces, and a read with
   more than its body behind it. The body may be still to come, as many clients send it: then its
   bytes are counted, which takes no parser.
7. *Of the other headers only the values of `_TRACING` may differ.* Nothing here reads these, they
   only pass; the field is replaced in a copy of the head, so what it says is what was sent.
8. *What may change is not kept here:* routes, tokens, limits, meters and addresses are asked by the
   request itself. The holder compares `request.routes` with those in force.
9. *A head holds a credential:* `find` forgets all of them when the token book is another edition.
10. *It is bounded:* a few heads, each of a few KiB, with a few values that may differ. And where
    heads do not repeat, learning stops: it costs as much as parsing.
"""

import re

from parkmeter.proxy.request_head import RequestHead, mark_of

_MOST = 2
"""Heads of one connection."""

LONGEST = 4096
"""Bytes of one of them."""

_TRIES = 16
"""Heads that are learnt in a row without one that is found."""

_LONGEST_VALUE = 256
"""Bytes of a value that may differ, and its end."""

_MOST_GAPS = 12
"""Values of one head that may differ. Each is searched for and written in all of the head: with
hundreds of them a prompt would take fifty times as long as by the parser."""

_LONGEST_LENGTH = 19
"""Digits of a length, and their end; fits 64 bits."""

_NOT_KEPT = frozenset(
    {
        b"expect",
        b"http2-settings",
        b"keep-alive",
        b"prefer",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

_CONNECTIONS: tuple[list[bytes], ...] = ([], [b"keep-alive"])
"""What the fields `Connection` may say."""

_TRACING = frozenset(
    {
        b"b3",
        b"baggage",
        b"idempotency-key",
        b"request-id",
        b"sentry-trace",
        b"traceparent",
        b"tracestate",
        b"x-amzn-trace-id",
        b"x-b3-parentspanid",
        b"x-b3-sampled",
        b"x-b3-spanid",
        b"x-b3-traceid",
        b"x-client-request-id",
        b"x-cloud-trace-context",
        b"x-correlation-id",
        b"x-datadog-parent-id",
        b"x-datadog-tags",
        b"x-datadog-trace-id",
        b"x-request-id",
    }
)
"""Headers that differ with each request and mean nothing to the gateway."""

_VALUE = re.compile(rb"[!-~](?:[ -~]*[!-~])?")
_NUMBER = re.compile(rb"0|[1-9][0-9]{0,17}")
_LENGTH_NAME = b"content-length"
_LENGTH = -1
"""Stands for the length where otherwise the index of a field stands."""


Found = tuple[RequestHead, bytes, bytes, int]
"""A head, its Content-Length, what came of the body, and how many bytes of it are still to come."""


class HeadMemo:
    """The heads that one connection has sent, the last one that was learnt first."""

    __slots__ = ("_edition", "_heads", "_tries")

    def __init__(self) -> None:
        self._heads: tuple[_KnownHead, ...] = ()
        self._edition: object = None
        self._tries = 0

    def find(self, data: bytes, edition: object) -> Found | None:
        """Return what a read brings, if it begins with a known head and nothing is behind its body.

        `edition`: the token book's, as it is now.
        """
        if edition is not self._edition:
            self.forget()
            self._edition = edition
        for known in self._heads:
            if data.startswith(known.start):
                found = known.read(data) if known.traced else known.read_plain(data)
                if found is not None:
                    self._tries = 0
                    return found
        return None

    def learn(self, data: bytes, request: RequestHead) -> None:
        """Keep the head of a read that brought this request alone, unless a rule is against it.

        Its token was accepted.
        """
        if self._tries >= _TRIES or request.method != "POST" or not request.http11:
            return
        self._tries += 1
        if not _NOT_KEPT.isdisjoint(request.named):
            return
        options = [value.lower() for name, value in request.fields if name == b"connection"]
        if options not in _CONNECTIONS:
            return
        known = _known(data, request)
        if known is not None:
            self._heads = (known, *self._heads[: _MOST - 1])

    def forget(self) -> None:
        """Forget every head."""
        self._heads = ()
        self._tries = 0

    def __len__(self) -> int:
        return len(self._heads)


class _KnownHead:
    """A head as bytes and gaps: `start`, and behind it each gap with the bytes that follow it.

    A gap is the index of a field whose value may differ, or `_LENGTH`. `traced`: there are others
    than the length.
    """

    __slots__ = ("_after", "_at", "_gaps", "_marked", "_request", "start", "traced")

    def __init__(
        self, start: bytes, gaps: tuple[tuple[int, bytes], ...], request: RequestHead
    ) -> None:
        self.start = start
        self.traced = len(gaps) > 1
        self._gaps = gaps
        self._request = request
        self._at = len(start)
        self._after = gaps[0][1]
        traced = [(index, mark_of(index)) for index, _ in gaps if index != _LENGTH]
        self._marked = request.varied(traced) if traced else None

    def read_plain(self, data: bytes) -> "Found | None":
        """Return what `read` does, where the length is the only gap."""
        at, after = self._at, self._after
        end = data.find(b"\r", at, at + _LONGEST_LENGTH)
        if not data.startswith(after, end):
            return None
        length, body = data[at:end], data[end + len(after) :]
        if length == b"%d" % len(body):
            return self._request, length, body, 0
        left = _left(length, body)
        return None if left is None else (self._request, length, body, left)

    def read(self, data: bytes) -> "Found | None":
        """Return what a read brings that begins with `start`; None if it is odd."""
        request, at, length = self._request, self._at, b""
        values, differs = [], False
        for index, after in self._gaps:
            end = data.find(b"\r", at, at + _LONGEST_VALUE)
            if end < 0 or not data.startswith(after, end):
                return None
            value = data[at:end]
            if index == _LENGTH:
                length = value
            else:
                values.append((index, value))
                differs = differs or value != request.fields[index][1]
            at = end + len(after)
        body = data[at:]
        left = _left(length, body)
        if left is None:
            return None
        if differs:
            if not all(map(_VALUE.fullmatch, [value for _, value in values])):
                return None
            request = request.varied(values, self._marked)
        return request, length, body, left


def _left(length: bytes, body: bytes) -> int | None:
    """Return the bytes still to come of a body; None if its length is odd, or too much came."""
    if not _NUMBER.fullmatch(length):
        return None
    left = int(length) - len(body)
    return left if left >= 0 else None


def _known(data: bytes, request: RequestHead) -> _KnownHead | None:
    """Return the head of a request as it may be compared; None if rule 3, 5 or 6 is against it."""
    end = data.find(b"\r\n\r\n", 0, LONGEST)
    if end < 0:
        return None
    line, *lines = data[:end].split(b"\r\n")
    if line != b"POST %b HTTP/1.1" % request.url or len(lines) != len(request.fields) + 1:
        return None
    literals, gaps, literal, index = list[bytes](), list[int](), line, 0
    for text in lines:
        name, colon, value = text.partition(b":")
        name, value = name.lower(), value.strip(b" ")
        if not colon or b"\r" in text or b"\n" in text or b"\0" in text:
            return None
        gap: int | None = None
        if name == _LENGTH_NAME:
            if _left(value, data[end + 4 :]) is None:
                return None
            gap = _LENGTH
        elif index == len(request.fields) or request.fields[index] != (name, value):
            return None
        else:
            if name in _TRACING and _VALUE.fullmatch(value) and len(value) < _LONGEST_VALUE:
                gap = index
            index += 1
        literal += b"\r\n" + text
        if gap is not None:
            if not text.endswith(value):
                return None
            literals.append(literal[: -len(value)])
            gaps.append(gap)
            literal = b""
    if gaps.count(_LENGTH) != 1 or len(gaps) > _MOST_GAPS:
        return None
    start, *rest = (*literals, literal + b"\r\n\r\n")
    return _KnownHead(start, tuple(zip(gaps, rest, strict=True)), request)
