"""Heads of requests and answers, changed in a few places, as clients, servers and attackers do.

All follows from the random numbers given. A head is its first line and its further lines, each
without its end; `LENGTH` stands where the length of the body is written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

LENGTH = b"Content-Length: %d"


@dataclass(frozen=True)
class Head:
    """A head as it is written."""

    start: bytes
    lines: tuple[bytes, ...]

    def of(self, length: int, rng: Random) -> bytes:
        """Return its bytes: with this length where `%d` stands, and new text where `%r` does."""
        data = b"\r\n".join([self.start, *self.lines, b"", b""]).replace(b"%d", b"%d" % length)
        while b"%r" in data:
            data = data.replace(b"%r", b"%x" % rng.getrandbits(rng.choice((48, 48, 44))), 1)
        return data


HOST = b"Host: gateway.test:8080"
TOKEN = b"Authorization: Bearer t-invoke"
JSON = b"Content-Type: application/json"

PROMPTS = {
    "short": Head(b"POST /flan HTTP/1.1", (HOST, TOKEN, JSON, LENGTH)),
    "by name": Head(
        b"POST /endpoints/flan-t5/invocations HTTP/1.1",
        (b"content-length: %d", b"host: a.test", b"authorization: t-invoke"),
    ),
    "stage and query": Head(b"POST /prod/flan?a=b&c HTTP/1.1", (HOST, JSON, LENGTH, TOKEN)),
    "of a library": Head(
        b"POST /flan/v1/chat/completions HTTP/1.1",
        (
            HOST,
            b"Accept-Encoding: gzip, deflate",
            b"Connection: keep-alive",
            b"Accept: application/json",
            JSON,
            b"User-Agent: OpenAI/Python 2.8.0",
            b"X-Stainless-Retry-Count: 0",
            TOKEN,
            LENGTH,
        ),
    ),
    "of another library": Head(
        b"POST /flan/v1/messages HTTP/1.1",
        (b"host: b.test", b"x-api-key: t-bob", b"anthropic-version: 2023-06-01", LENGTH, JSON),
    ),
    "to all endpoints": Head(b"POST /v1/chat/completions HTTP/1.1", (HOST, TOKEN, JSON, LENGTH)),
    "traced": Head(
        b"POST /flan HTTP/1.1",
        (HOST, b"traceparent: 00-%r-%r-01", TOKEN, LENGTH, b"X-Request-Id: %r"),
    ),
    "traced by a library": Head(
        b"POST /flan/v1/chat/completions HTTP/1.1",
        (LENGTH, HOST, b"x-correlation-id:%r", JSON, TOKEN, b"Accept: */*", b"tracestate: a=%r"),
    ),
    "to another endpoint": Head(
        b"POST /other HTTP/1.1", (HOST, b"Authorization: Bearer t-bob", JSON, LENGTH)
    ),
}
"""Prompts as clients repeat them."""

ANSWERS = {
    "short": Head(b"HTTP/1.1 200 OK", (JSON, LENGTH)),
    "of uvicorn": Head(
        b"HTTP/1.1 200 OK",
        (
            b"date: Mon, 01 Mar 2027 12:00:00 GMT",
            b"server: uvicorn",
            b"content-length: %d",
            b"content-type: application/json",
        ),
    ),
    "text": Head(b"HTTP/1.1 200 OK", (LENGTH, b"Content-Type: text/plain; charset=utf-8")),
    "a page": Head(b"HTTP/1.1 200 OK", (LENGTH, b"Content-Type: text/html")),
    "a refusal": Head(b"HTTP/1.1 422 Unprocessable", (b"Content-Type:application/json", LENGTH)),
}
"""Answers as model servers repeat them; `STREAMS` those of unknown length."""

STREAMS = {
    "events": Head(
        b"HTTP/1.1 200 OK",
        (b"Content-Type: text/event-stream; charset=utf-8", b"Transfer-Encoding: chunked"),
    ),
    "chunks": Head(b"HTTP/1.1 200 OK", (JSON, b"transfer-encoding: chunked")),
    "to the end": Head(b"HTTP/1.1 200 OK", (JSON,)),
    "events to the end": Head(b"HTTP/1.0 200 OK", (b"Content-Type: text/event-stream",)),
}

LENGTHS = (
    *(b"0%d", b"00%d", b"+%d", b"-%d", b"%d %d", b"%d,%d", b"%d, %d", b"0x%d", b"%d0", b"1%d"),
    *(b"", b" ", b"%d ", b"\t%d", b"  %d\t", b"%d;", b"%d.0", b"%de0", b"\xb2", b"1_0", b"%d\x00"),
    *(b"9" * 18, b"9" * 19, b"9" * 40, b"18446744073709551617", b"0", b"00", b"1", b"%d\x0b"),
    *(b"\xa0%d", b'"%d"', b"%d\r", b"%d\n"),
)
"""Values of a Content-Length; `%d` is the right one."""

LINES_ASKED = (
    *(b"X-Request-Id: %r", b"traceparent: 00-%r-%r-01", b"Cookie: a=b", b"Accept-Encoding: gzip"),
    *(b"Expect: 100-continue", b"Expect: 100-Continue", b"expect: nothing", b"Prefer: wait=5"),
    *(b"Prefer: wait=0", b"prefer: respond-async", b"Prefer: wait=1, handling=lenient"),
    *(b"Connection: close", b"Connection: keep-alive", b"connection: X-Shown", b"Connection: "),
    *(b"Connection: Upgrade", b"Upgrade: h2c", b"Upgrade: websocket", b"Upgrade: h2c, websocket"),
    *(b"HTTP2-Settings: AAAA", b"TE: trailers", b"Trailer: X-Shown", b"Keep-Alive: timeout=5"),
    *(b"Connection: close, Content-Type", b"Proxy-Connection: close", b"Proxy-Authorization: x"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"transfer-encoding: identity"),
    *(b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding:  Chunked ", b"Transfer-Encoding:"),
    *(b"Content-Encoding: gzip", b"Content-Type: text/plain", b"Content-Type: application/json"),
    *(b"X-Forwarded-For: 10.0.0.1", b"X-Forwarded-Host: c.test", b"Forwarded: for=10.0.0.1"),
    *(b"X-Forwarded-Proto: https", b"X_Shown: yes", b"X-Shown: yes", b"Origin: https://app.test"),
    *(b"Access-Control-Request-Method: POST", b"Host: other.test", b"Host:", b"Host: a b"),
    *(b"Authorization: Bearer t-bob", b"Authorization: t-unknown", b"x-api-key: t-invoke"),
    *(b"api-key: t-invoke", b"Authorization: Bearer t-late", b"Authorization: Bearer t-elsewhere"),
    *(b"Authorization: Basic dC1pbnZva2U=", b"Parkmeter-Seconds-Left: 5", b"X-Own: 2"),
    *(b"Content-Length: 2", b"content-length: %d", b"Content-Length : %d", b" Content-Length: %d"),
    *(b"Content_Length: %d", b"X-Long: " + b"a" * 3000, b"X-Far: " + b"b" * 66_000, b"Date: now"),
    *(b"X-Remote-User: ada", b"Transfer-Encoding: \x0bchunked", b"!#$&'*+-.^_`|~: x"),
)
"""Further lines of a request; `%r` is another text each time."""

LINES_ANSWERED = (
    *(b"X-Request-Id: %r", b"Set-Cookie: a=%r", b"set-cookie2: b", b"Clear-Site-Data: *"),
    *(
        b"Connection: close",
        b"Connection: keep-alive",
        b"connection: X-Shown, close",
        b"X-Shown: x",
    ),
    *(b"Connection: upgrade", b"Upgrade: h2c", b"Keep-Alive: timeout=5", b"Trailer: X-Shown"),
    *(b"Connection: X-Shown", b"Connection: Content-Type", b"Proxy-Connection: close"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"transfer-encoding: identity"),
    *(b"Content-Encoding: gzip", b"Content-Type: text/html", b"Content-Type: text/event-stream"),
    *(b"Content-Type: application/json; charset=UTF-8", b"content-type: image/svg+xml"),
    *(b"Content-Type:", b"Parkmeter-Seconds-Left: 5", b"parkmeter-expires-at: never", b"ETag: %r"),
    *(b"Preference-Applied: wait=9", b"WWW-Authenticate: Basic", b"Access-Control-Allow-Origin: *"),
    *(b"Vary: Origin", b"Alt-Svc: h3", b"Location: /x", b"Retry-After: 1", b"X-Accel-Buffering: x"),
    *(b"Content-Length: 2", b"content-length: %d", b"Content-Length : %d", b" Content-Length: %d"),
    *(b"X-Long: " + b"a" * 3000, b"X-Far: " + b"b" * 66_000, b"X_Shown: y", b"Server: x"),
)

STARTS_ASKED = (
    *(b"GET /flan HTTP/1.1", b"GET /flan/v1/models HTTP/1.1", b"HEAD /flan/x HTTP/1.1"),
    *(b"PUT /flan HTTP/1.1", b"DELETE /flan/v1/files/a HTTP/1.1", b"OPTIONS /flan/x HTTP/1.1"),
    *(b"PATCH /flan/x HTTP/1.1", b"CONNECT /flan/x HTTP/1.1", b"TRACE /flan/x HTTP/1.1"),
    *(b"post /flan HTTP/1.1", b"POST  /flan HTTP/1.1", b"POST /flan  HTTP/1.1", b"POST /flan"),
    *(b"POST /flan HTTP/1.0", b"POST /flan HTTP/1.2", b"POST /flan HTTP/2.0", b"PRI * HTTP/2.0"),
    *(b"POST http://elsewhere:1/flan HTTP/1.1", b"POST http://[/flan HTTP/1.1", b"POST * HTTP/1.1"),
    *(b"POST /prod/flan HTTP/1.1", b"POST /prod/prod/flan HTTP/1.1", b"POST //flan HTTP/1.1"),
    *(b"POST /flan?a=b HTTP/1.1", b"POST /flan#a HTTP/1.1", b"POST /fl%61n HTTP/1.1"),
    *(b"POST /flan/ HTTP/1.1", b"POST /flan/../x HTTP/1.1", b"POST /flan/%2e%2e/x HTTP/1.1"),
    *(b"POST /plan HTTP/1.1", b"POST /other HTTP/1.1", b"POST /flan/load_lora HTTP/1.1"),
    *(b"POST /endpoints/none/invocations HTTP/1.1", b"POST /v1/responses HTTP/1.1"),
    *(b"GET /v1/responses/resp_Z1 HTTP/1.1", b"POST /flan/v1/responses HTTP/1.1"),
    *(b"POST /elsewhere HTTP/1.1", b"GET /v1/models HTTP/1.1", b"POST /fl\xe4n HTTP/1.1"),
    *(b"\r\nPOST /flan HTTP/1.1", b"\nPOST /flan HTTP/1.1", b" POST /flan HTTP/1.1"),
    *(b"POST\t/flan HTTP/1.1", b"POST /flan HTTP/1.1 ", b"POST /flan HTTP/1.1\r", b"\x16\x03\x01"),
    *(b"POST /flan/v1/count_tokens HTTP/1.1", b"POST /flan/tokenize HTTP/1.1"),
    b"POST /" + b"x" * 3000 + b" HTTP/1.1",
)

STARTS_ANSWERED = (
    *(b"HTTP/1.1 200", b"HTTP/1.1 201 Made", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Same"),
    *(b"HTTP/1.1 500 Oh", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 599 x", b"HTTP/1.1 429 Slow down"),
    *(b"HTTP/1.0 200 OK", b"HTTP/1.0 204 None", b"HTTP/1.2 200 OK", b"HTTP/2.0 200 OK", b"hello"),
    *(b"HTTP/1.1 101 Switching", b"HTTP/1.1 600 x", b"HTTP/1.1 20 x", b"HTTP/1.1 2000 x"),
    *(b"HTTP/1.1  200 OK", b"http/1.1 200 OK", b"HTTP/1.1 200 \xff", b"HTTP/1.1 302 Found"),
    *(b"\r\nHTTP/1.1 200 OK", b"HTTP/1.1 199 x", b"ICY 200 OK"),
)

INTERIM = (
    *(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Wait\r\nX-Shown: no\r\n\r\n"),
    b"HTTP/1.1 103 Early\r\nContent-Length: 5\r\nContent-Type: text/html\r\n\r\n",
)
ODD = (b"\x00", b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\x0b", b"\x7f", b"\x80", b"\xff", b",")

Change = Callable[[Random, list[bytes]], None]


def _drop(rng: Random, lines: list[bytes]) -> None:
    del lines[rng.randrange(len(lines))]


def _double(rng: Random, lines: list[bytes]) -> None:
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))


def _swap(rng: Random, lines: list[bytes]) -> None:
    lines.append(lines.pop(rng.randrange(len(lines))))


def _recase(rng: Random, lines: list[bytes]) -> None:
    at = rng.randrange(len(lines))
    name, colon, value = lines[at].partition(b":")
    change = rng.choice((bytes.upper, bytes.lower, bytes.title, bytes.swapcase))
    lines[at] = change(name) + colon + value


def _recase_value(rng: Random, lines: list[bytes]) -> None:
    at = rng.randrange(len(lines))
    name, colon, value = lines[at].partition(b":")
    if b"%" not in value:
        lines[at] = name + colon + rng.choice((bytes.upper, bytes.lower))(value)


def _space(rng: Random, lines: list[bytes]) -> None:
    at = rng.randrange(len(lines))
    name, _, value = lines[at].partition(b":")
    value = value.strip()
    shapes = (b"%b:%b", b"%b:  %b", b"%b:\t%b", b"%b: %b ", b"%b: %b \t", b"%b : %b", b" %b: %b")
    lines[at] = rng.choice(shapes).replace(b"%b", name, 1).replace(b"%b", value, 1)


def _spoil(rng: Random, lines: list[bytes]) -> None:
    """Put an odd byte somewhere into a line."""
    at = rng.randrange(len(lines))
    place = rng.randrange(len(lines[at]) + 1)
    lines[at] = lines[at][:place] + rng.choice(ODD) + lines[at][place:]


def _fold(rng: Random, lines: list[bytes]) -> None:
    lines[rng.randrange(len(lines))] += rng.choice((b"\r\n folded", b"\r\n\tfolded", b"\n x: y"))


def _value(rng: Random, lines: list[bytes]) -> None:
    """Change the value of a line."""
    at = rng.randrange(len(lines))
    name, _, value = lines[at].partition(b":")
    value = value.strip()
    half = len(value) // 2
    others = (b"", value + b"1", value[:-1], value[:half] + b" \t " + value[half:], value + b"\xfc")
    others += (b"%r", b"%r %r", b"%r,%r", b"%r" * 40, b"\t%r", b"%r\t", b"(%r)", b'"%r"', b"\x01%r")
    lines[at] = name + b": " + rng.choice(others)


def _cut_line(rng: Random, lines: list[bytes]) -> None:
    at = rng.randrange(len(lines))
    lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]


def _length(rng: Random, lines: list[bytes]) -> None:
    for at, line in enumerate(lines):
        if line[:15].lower() == b"content-length:":
            lines[at] = line[:15] + b" " + rng.choice(LENGTHS)
            if rng.random() < 0.2:
                lines.insert(rng.randrange(len(lines) + 1), LENGTH)
            return


SHAPES: Sequence[Change] = (
    *(_drop, _double, _swap, _recase, _recase_value, _space, _spoil, _fold, _cut_line),
    *(_value, _value),
    *(_length, _length, _length),
)


class Mutator:
    """Changes heads of one side: with these further lines and first lines."""

    def __init__(self, rng: Random, lines: Sequence[bytes], starts: Sequence[bytes]) -> None:
        self._rng = rng
        self._lines = lines
        self._starts = starts

    def some(self, head: Head) -> Head:
        """Return a head with none to three changes, most often one."""
        for _ in range(self._rng.choice((0, 1, 1, 1, 1, 2, 2, 3))):
            head = self.one(head)
        return head

    def one(self, head: Head) -> Head:
        """Return a head with one change."""
        rng, lines = self._rng, list(head.lines)
        kind = rng.random()
        if kind < 0.55:
            lines.insert(rng.randrange(len(lines) + 1), self._line())
        elif kind < 0.63:
            return replace(head, start=rng.choice(self._starts))
        elif kind < 0.65:
            at = rng.randrange(len(head.start) + 1)
            return replace(head, start=head.start[:at] + rng.choice(ODD) + head.start[at:])
        elif lines:
            rng.choice(SHAPES)(rng, lines)
        return replace(head, lines=tuple(lines))

    def near(self, head: Head) -> Head:
        """Return a head that differs in one value, or in how one line is written."""
        lines = list(head.lines)
        self._rng.choice((_value, _value, _length, _space, _recase))(self._rng, lines)
        return replace(head, lines=tuple(lines))

    def _line(self) -> bytes:
        return self._rng.choice(self._lines)


def damaged(rng: Random, data: bytes) -> bytes:
    """Return bytes with one of them changed, added, dropped, or all behind a place missing."""
    at = rng.randrange(len(data) + 1)
    kind = rng.randrange(5)
    if kind == 0:
        return data[:at] + rng.choice(ODD) + data[at:]
    if kind == 1:
        return data[:at] + data[at + 1 :]
    if kind == 2:
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    if kind == 3:
        return data.replace(
            b"\r\n", rng.choice((b"\n", b"\r", b"\r\r\n", b"\n\r")), rng.randint(1, 4)
        )
    return data[:at]
