"""Random input for what reads HTTP: targets, heads, preferences, tokens, bodies, answers."""

import asyncio
from itertools import pairwise
from typing import Any

import httptools
import pytest
from hypothesis import strategies as st

from parkmeter.errors import (
    InvalidRequestError,
    ParkmeterError,
    TokenMissingError,
    TokenRefusedError,
    TooLargeError,
)
from parkmeter.proxy.request_body import RequestBody
from parkmeter.proxy.request_head import Peer, RequestHead
from parkmeter.proxy.upstream_connection import State, UpstreamConnection
from parkmeter.web.headers import host_of, prefer_of, repeated_field, wants_upgrade
from parkmeter.web.refusals import Refusal
from parkmeter.web.server_paths import plain_path
from parkmeter.web.stage import locate
from tests.support.gateway_at_work import NOON, book
from tests.support.random_input import damaged

FEW_AND_MANY = pytest.mark.parametrize(
    "cases", [150, pytest.param(2_000, marks=[pytest.mark.extended, pytest.mark.timeout(900)])]
)
PEER = Peer("10.0.0.1", ("127.0.0.1", 8080), "http")
SECRET = b"t-invoke-and-no-more"

TARGETS = damaged(
    [b"/prod/flan?a=b", b"/flan/v1/models", b"http://host:1/prod/x?y", b"/endpoints/a/invocations"],
    [b"/prod", b"/", b"//", b"?", b"#", b"%2e", b"..", b"://", b"*", b"\xff", b"flan", b":", b"@"],
)
NAMES = st.sampled_from(
    [
        *(b"host", b"authorization", b"connection", b"prefer", b"expect", b"upgrade", b"te"),
        *(b"forwarded", b"x-forwarded-for", b"transfer-encoding", b"keep-alive", b"cookie"),
        *(b"x-a", b"x_a", b"content-type", b"proxy-authorization", b"parkmeter-expires-at"),
    ]
)
VALUES = damaged(
    [b"gateway.test:8080", b"close, x-a", b"wait=10, respond-async", b"100-continue", b"chunked"],
    [b",", b";", b'"', b"\\", b"=", b" ", b"\t", b"wait", b"close", b"host", b"h2c", b"upgrade"],
)
BREAKING = (b"\r", b"\n", b"\0")
READABLE = frozenset(b"\t\r\n\0") | frozenset(range(0x20, 0x100)) - {0x7F}


@FEW_AND_MANY
def test_a_target_is_split_and_nothing_of_it_is_lost(run, cases):
    def check(url: bytes) -> None:
        found = locate(url)
        assert found.stage in {"", "/prod"}
        assert found.path.startswith(b"/")
        assert b"?" not in found.path
        if url.startswith(b"/"):
            path = b"" if url.split(b"?")[0] == b"/prod" else found.path
            whole = found.stage.encode() + path + (b"?" + found.query if b"?" in url else b"")
            assert whole == url

    run("targets", check, TARGETS, cases)


@FEW_AND_MANY
def test_a_path_has_one_plain_form_however_it_is_encoded(run, cases):
    def plain(path: bytes) -> str | None:
        try:
            return plain_path(path)
        except InvalidRequestError:
            return None

    def check(case: tuple[bytes, int]) -> None:
        path, at = b"/" + case[0].replace(b"?", b""), case[1]
        found = plain(path)
        assert found is None or found.startswith("/")
        assert found is None or {".", ".."}.isdisjoint(found.split("/"))
        at %= len(path)
        if found is not None and path[at] not in b"%":
            assert plain(path[:at] + b"%%%02x" % path[at] + path[at + 1 :]) == found

    paths = damaged(
        [b"/v1/load_lora_adapter", b"pause", b"v1%2Fmodels", b"slots/1;x=y", b"a/..%2f/pause"],
        [b"/", b"//", b"%2f", b"%5c", b"\\", b".", b"..", b"%2e", b"%25", b"%", b";", b"%zz", b"A"],
    )
    run("targets", check, st.tuples(paths, st.integers(0, 10_000)), cases)


class Requests:
    """What a server that reads a head finds in it."""

    def __init__(self, head: bytes) -> None:
        self.count = 0
        self.names: list[bytes] = []
        self.complete = False
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(head)
        self.method = parser.get_method()

    def on_message_begin(self) -> None:
        self.count += 1

    def on_header(self, name: bytes, _value: bytes) -> None:
        self.names.append(name.lower())

    def on_headers_complete(self) -> None:
        self.complete = True


@FEW_AND_MANY
def test_a_head_for_a_model_server_is_one_request_without_what_is_ours(run, cases):
    target = st.binary(max_size=20).map(
        lambda text: b"/" + bytes(byte for byte in text if 0x20 < byte < 0x7F)
    )
    values = st.one_of(VALUES, st.just(b"Bearer " + SECRET))

    def check(case: tuple[bytes, list[tuple[bytes, bytes]], bool]) -> None:
        url, fields, cookies = case
        # Other control bytes are refused by the parser of the client's connection.
        fields = [
            (name, bytes(filter(READABLE.__contains__, value)))
            for name, value in fields
            if name == b"authorization" or SECRET not in value
        ]
        request = RequestHead("POST", url, fields, PEER, http11=True)
        try:
            request.check_names()
            head = request.head_for(request.location.path, b"127.0.0.1:9000", cookies=cookies)
        except (ParkmeterError, Refusal):
            return
        assert SECRET not in head
        read = Requests(head + b"\r\n")
        assert (read.count, read.complete, read.method) == (1, True, b"POST")
        assert read.names.count(b"host") == read.names.count(b"forwarded") == 1
        ours = {b"authorization", b"connection", b"te", b"upgrade", b"transfer-encoding", b"expect"}
        assert ours.isdisjoint(read.names)
        assert cookies or b"cookie" not in read.names
        assert request.base.startswith("http://")

    heads = st.tuples(target, st.lists(st.tuples(NAMES, values), max_size=8), st.booleans())
    run("heads", check, heads, cases)


@FEW_AND_MANY
def test_a_value_with_a_line_end_never_passes(run, cases):
    def check(value: bytes) -> None:
        fields = [(b"host", b"gateway.test"), (b"x-a", value)]
        request = RequestHead("POST", b"/flan", fields, PEER, http11=True)
        with pytest.raises(InvalidRequestError):
            request.head_for(b"/", b"127.0.0.1:9000", cookies=False)

    breaking = st.tuples(st.binary(max_size=9), st.sampled_from(BREAKING), st.binary(max_size=9))
    run("heads", check, breaking.map(b"".join), cases)


@FEW_AND_MANY
def test_preferences_are_read_once_and_the_rest_has_no_wait_left(run, cases):
    def check(values: list[bytes]) -> None:
        found = prefer_of([(b"prefer", value) for value in values])
        assert found.wait is None or 0 <= found.wait < 10**9
        again = prefer_of([(b"prefer", found.rest)] if found.rest else [])
        assert again.wait is None
        assert again.rest == found.rest

    run("headers", check, st.lists(VALUES, max_size=3), cases)


@FEW_AND_MANY
def test_a_host_is_one_or_our_own(run, cases):
    def check(value: bytes) -> None:
        found = host_of(value, PEER.server)
        assert found.isascii()
        assert set(found).isdisjoint(' /\\\r\n\t"<>@?#')

    run("headers", check, VALUES, cases)


@FEW_AND_MANY
def test_fields_are_judged_without_an_error(run, cases):
    def check(fields: list[tuple[bytes, bytes]]) -> None:
        twice = repeated_field(fields, dict(fields))
        assert not twice or [name for name, _ in fields].count(twice.lower().encode()) > 1
        wants_upgrade(fields)

    run("headers", check, st.lists(st.tuples(NAMES, VALUES), max_size=8), cases)


@FEW_AND_MANY
def test_only_a_token_itself_opens_anything(run, cases):
    tokens = book()

    def check(header: bytes) -> None:
        text = header.decode("latin-1")
        try:
            found = tokens.check(text, NOON)
        except (TokenMissingError, TokenRefusedError):
            return
        assert text.split()[-1].removeprefix("t-") == found.id

    headers = damaged(
        [b"Bearer t-invoke", b"t-ada", b"Basic dTp0LWludm9rZQ==", b"bearer  t-late"],
        [b"Bearer", b"Basic", b" ", b"\t", b"sha256:", b"t-invoke", b"t-ada", b":", b"\xa0", b"=="],
    )
    run("authorizations", check, headers, cases)


@FEW_AND_MANY
def test_a_body_arrives_at_the_model_server_as_it_was_sent_or_not_at_all(run, cases):
    def check(case: tuple[bytes | None, bytes | None, list[bytes], int]) -> None:
        length, coding, pieces, limit = case
        body = RequestBody(length, awaits_continue=False)
        named = {} if coding is None else {b"transfer-encoding": coding}
        try:
            body.frame(named, limit)
            sent = body.first(b"POST / HTTP/1.1\r\n")
            for piece in pieces:
                body.add(piece)
                body.check_size()
                sent += body.take()
            body.complete = True
            sent += body.take()
        except TooLargeError:
            assert (length or b"").strip().isdigit() or sum(map(len, pieces)) > limit
            return
        except (ParkmeterError, Refusal):
            return
        whole = b"".join(pieces)
        if length is None and coding is None:
            return  # without framing there is no body
        if length is not None and int(length) != len(whole):
            return  # cut off by the client's own parser
        read = Bodies(sent)
        assert (read.count, read.complete, read.body) == (1, True, whole)

    lengths = st.one_of(st.none(), st.integers(0, 40).map(b"%d".__mod__), VALUES)
    codings = st.one_of(st.none(), st.sampled_from([b"chunked", b" Chunked ", b"gzip"]), VALUES)
    pieces = st.lists(st.binary(min_size=1, max_size=20), max_size=5)
    run("bodies", check, st.tuples(lengths, codings, pieces, st.integers(0, 60)), cases)


class Bodies(Requests):
    """The same with the body."""

    def __init__(self, data: bytes) -> None:
        self.body = b""
        super().__init__(data)

    def on_headers_complete(self) -> None:
        """Wait for the end of the body."""

    def on_body(self, piece: bytes) -> None:
        self.body += piece

    def on_message_complete(self) -> None:
        self.complete = True


class Exchange:
    """One answer as a requester takes it, fed in the pieces that a cut makes."""

    def __init__(self, pieces: list[bytes], *, headless: bool) -> None:
        self.body = b""
        self.failure = ""
        connection = UpstreamConnection()
        connection.connection_made(Deaf())
        connection.begin(self, b"GET / HTTP/1.1\r\n\r\n", headless=headless)
        connection.request_sent = True
        self.connection = connection
        for piece in pieces:
            connection.data_received(piece)
        connection.eof_received()
        self.status = connection.status
        self.headers = list(connection.headers)
        assert self.failure or connection.state is State.DONE

    def received(self) -> None:
        self.body += self.connection.take()

    def may_end(self) -> bool:
        return True

    def failed(self, error: ParkmeterError) -> None:
        self.failure = error.detail

    def seen(self) -> tuple[Any, ...]:
        """Return what a client would see of it."""
        head = () if self.failure else (self.status, self.headers)
        return (bool(self.failure), *head, self.body if head else b"")


class Deaf(asyncio.Transport):
    """A transport that takes everything."""

    def write(self, data: Any) -> None:
        """Drop it."""

    def abort(self) -> None:
        """Be closed."""

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


ANSWERS = damaged(
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nto the end",
        b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    ],
    [
        *(b"\r\n", b"\n", b"\r", b" ", b":", b"HTTP/1.1 ", b"200", b"101", b"304", b"999", b"0"),
        *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"5\r\n", b"hello", b"\0"),
        *(b"Transfer-Encoding: gzip\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n", b"ffffffff"),
    ],
)


@FEW_AND_MANY
def test_an_answer_means_the_same_however_it_is_cut(run, cases):
    def check(case: tuple[bytes, list[int], bool]) -> None:
        answer, places, headless = case
        cuts = sorted({place % (len(answer) + 1) for place in places} | {0, len(answer)})
        pieces = [answer[a:b] for a, b in pairwise(cuts) if a < b]
        whole = Exchange([answer] if answer else [], headless=headless)
        assert Exchange(pieces, headless=headless).seen() == whole.seen()
        if not whole.failure:
            assert 200 <= whole.status < 600

    cut = st.lists(st.integers(0, 10_000), max_size=6)
    run("answers", check, st.tuples(ANSWERS, cut, st.booleans()), cases)
