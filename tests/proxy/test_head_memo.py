"""Heads that are not parsed again: which are kept, which reads are taken for one."""

import pytest

from parkmeter.proxy import head_memo
from parkmeter.proxy.head_memo import HeadMemo
from parkmeter.proxy.request_head import Peer, RequestHead
from parkmeter.web.headers import OwnHeaders
from parkmeter.web.routes import Route, Target

LINE = b"POST /flan HTTP/1.1"
FIELDS = (b"Host: gateway.test", b"Authorization: Bearer t-invoke", b"Accept: */*")
TRACE = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EDITION = object()


def request(*fields: bytes, line: bytes = LINE, body: bytes = b"{}", length: bytes = b"") -> bytes:
    """Return a request with these fields and, unless they have another one, its length."""
    last = b"Content-Length: %b" % (length or b"%d" % len(body))
    return b"\r\n".join([line, *fields, last, b"", body])


def read(data: bytes) -> RequestHead:
    """Return the head as a parser reads it, as leniently as any."""
    line, *lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
    method, url, version = line.split(b" ")
    pairs = (text.partition(b":") for text in lines)
    fields = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
    kept = [field for field in fields if field[0] != b"content-length"]
    http11 = version == b"HTTP/1.1"
    return RequestHead(method.decode(), url, kept, Peer("1.2.3.4", None, "http"), http11=http11)


def memo_of(*requests: bytes) -> HeadMemo:
    """Return a memo that has learnt the heads of these requests, as far as it does."""
    memo = HeadMemo()
    for data in requests:
        memo.find(data, EDITION)
        memo.learn(data, read(data))
    return memo


def test_a_request_with_a_known_head_is_found_whatever_its_length():
    memo = memo_of(request(*FIELDS))
    for size in (0, 1, 2, 9, 10, 99_999):
        found = memo.find(request(*FIELDS, body=b"x" * size), EDITION)
        assert found is not None
        head, length, body, left = found
        assert (length, body, left) == (b"%d" % size, b"x" * size, 0)
        assert (head.url, head.authorization) == (b"/flan", b"Bearer t-invoke")
        assert head.fields == read(request(*FIELDS)).fields


def test_the_length_may_stand_anywhere_in_the_head():
    data = b"\r\n".join([LINE, b"content-length:  2", *FIELDS, b"", b"{}"])
    memo = memo_of(data)
    assert memo.find(data, EDITION) is not None
    assert memo.find(data.replace(b"  2", b"  3") + b" ", EDITION) is not None


@pytest.mark.parametrize(
    "length",
    [b"02", b"+2", b"-2", b"2 ", b" 2", b"2,2", b"0x2", b"2_0", b"", b"0", b"1", b"2\t", b"\xb2"],
)
def test_a_length_that_is_not_written_as_we_write_it_goes_to_the_parser(length):
    memo = memo_of(request(*FIELDS))
    odd = request(*FIELDS).replace(b"Length: 2", b"Length: " + length)
    assert memo.find(odd, EDITION) is None
    assert memo.find(request(*FIELDS), EDITION) is not None


def test_a_head_in_pieces_and_a_read_with_more_behind_its_body_go_to_the_parser():
    data = request(*FIELDS, body=b'{"a": 1}')
    memo = memo_of(data)
    for cut in range(data.index(b"{")):
        assert memo.find(data[:cut], EDITION) is None
    for behind in (b"\r\n", b"x", data):
        assert memo.find(data + behind, EDITION) is None


def test_the_body_may_be_still_to_come():
    data = request(*FIELDS, body=b'{"a": 1}')
    begin = data.index(b"{")
    for memo in (memo_of(data), memo_of(data[:begin]), memo_of(data[:-1])):
        for cut in range(begin, len(data)):
            found = memo.find(data[:cut], EDITION)
            assert found is not None
            assert found[1:] == (b"8", data[begin:cut], len(data) - cut)


def test_a_length_of_too_many_digits_goes_to_the_parser():
    head = request(*FIELDS, body=b"").replace(b"Length: 0", b"Length: 1" + b"0" * 17)
    memo = memo_of(head)
    assert memo.find(head, EDITION) is not None
    assert memo.find(head.replace(b"Length: 1", b"Length: 10"), EDITION) is None


def test_a_head_that_differs_in_any_byte_goes_to_the_parser():
    data = request(*FIELDS)
    memo = memo_of(data)
    for at in range(len(data) - 2):
        for other in (b"\0", b" ", b"\r", b"\n", b":", b"9", bytes([data[at] ^ 0x20])):
            number = data[at : at + 3] == b"2\r\n" and other.isdigit()
            if data[at : at + 1] != other and not number:
                assert memo.find(data[:at] + other + data[at + 1 :], EDITION) is None


@pytest.mark.parametrize(
    "field",
    [
        b"Connection: close",
        b"Connection: keep-alive, x",
        b"Connection: keep-alive\r\nConnection: keep-alive",
        b"Connection: x\r\nConnection: keep-alive",
        b"Expect: 100-continue",
        b"HTTP2-Settings: AAMA",
        b"Keep-Alive: timeout=5",
        b"Prefer: wait=5",
        b"Proxy-Connection: keep-alive",
        b"TE: trailers",
        b"Trailer: x",
        b"Transfer-Encoding: chunked",
        b"Upgrade: h2c",
        b"Content-Length: 2",
        b"X: a\r\n folded",
        b"X: a\r\n\tfolded",
        b"X: a\nY: b",
        b"X: a\rY: b",
        b"X: a\0b",
        b"X : a",
        b"X",
    ],
)
def test_a_head_that_could_be_read_in_two_ways_or_asks_for_more_is_not_kept(field):
    data = request(*FIELDS, field)
    assert len(memo_of(data)) == 0
    assert len(memo_of(request(field, *FIELDS))) == 0


@pytest.mark.parametrize(
    "line",
    [
        b"GET /flan HTTP/1.1",
        b"PUT /flan HTTP/1.1",
        b"POST /flan HTTP/1.0",
        b"POST  /flan HTTP/1.1",
        b"\r\nPOST /flan HTTP/1.1",
    ],
)
def test_only_an_ordinary_post_is_kept(line):
    data = request(*FIELDS, line=line)
    memo = HeadMemo()
    memo.find(data, EDITION)
    head = read(request(*FIELDS, line=line.strip().replace(b"  ", b" ")))
    memo.learn(data, head)
    assert len(memo) == 0


def test_a_client_may_say_that_it_keeps_its_connection():
    assert len(memo_of(request(*FIELDS, b"Connection: Keep-Alive"))) == 1


def test_a_head_without_a_length_is_not_kept():
    assert len(memo_of(b"\r\n".join([LINE, *FIELDS, b"", b""]))) == 0


def test_a_head_that_the_parser_read_in_another_way_is_not_kept():
    memo, data = HeadMemo(), request(*FIELDS)
    memo.find(data, EDITION)
    for other in (FIELDS[:-1], (*FIELDS, b"X: y"), (*FIELDS[:-1], b"Accept: text/plain")):
        memo.learn(data, read(request(*other)))
        memo.learn(data, read(request(*FIELDS, line=b"POST /other HTTP/1.1")))
    assert len(memo) == 0


# ── Headers that trace a request ─────────────────────────────────────────────────────────────────


def test_a_traced_request_is_found_with_what_it_says_itself():
    memo = memo_of(request(*FIELDS, TRACE, b"X-Request-ID: 1"))
    found = memo.find(request(*FIELDS, b"traceparent: 00-other-01", b"X-Request-ID: 2"), EDITION)
    assert found is not None
    head = found[0]
    assert head.fields[-2:] == [(b"traceparent", b"00-other-01"), (b"x-request-id", b"2")]
    assert head.named[b"x-request-id"] == b"2"
    target = Target("flan", Route("flan", "flan"), b"/invocations", prompt=True)
    assert target.route is not None
    for authority in (b"one:1", b"other:2"):
        sent = head.head_to(target, target.route, authority)
        assert b"\r\ntraceparent: 00-other-01\r\nx-request-id: 2\r\n" in sent
        assert sent == head.head_for(target.path, authority)
    again = memo.find(request(*FIELDS, TRACE, b"X-Request-ID: 1"), EDITION)
    assert again is not None
    assert again[0].fields[-2:] == read(request(TRACE, b"X-Request-ID: 1")).fields


def test_an_endpoint_may_set_a_header_that_traces_itself():
    data = request(*FIELDS, b"x-request-id: 1")
    memo = memo_of(data)
    for own in (OwnHeaders.of({"x-request-id": "1"}), OwnHeaders.of({}, ["x-request-id"])):
        target = Target("flan", Route("flan", "flan", own_headers=own), b"/x", prompt=True)
        assert target.route is not None
        for value in (b"1", b"2"):
            found = memo.find(data.replace(b"id: 1", b"id: " + value), EDITION)
            assert found is not None
            sent = found[0].head_to(target, target.route, b"server")
            assert sent == found[0].head_for(b"/x", b"server", own_headers=own)
            assert sent.count(b"x-request-id") == len(own.lines)


@pytest.mark.parametrize(
    "value",
    [b"", b" a", b"a ", b"a\0", b"a\nx: y", b"a\rb", b"\xff", b"a\tb", b"a\x7f", b"x" * 256],
)
def test_a_trace_that_is_not_plain_text_goes_to_the_parser(value):
    memo = memo_of(request(*FIELDS, TRACE))
    assert memo.find(request(*FIELDS, b"traceparent: " + value), EDITION) is None
    assert memo.find(request(*FIELDS, b"traceparent: x"), EDITION) is not None


@pytest.mark.parametrize("name", sorted(head_memo._TRACING))
def test_nothing_that_follows_from_a_head_depends_on_a_header_that_may_differ(name):
    one, other = (read(request(*FIELDS, b"%b: %b" % (name, value))) for value in (b"1", b"2"))
    changed = one.varied([(len(FIELDS), b"2")])
    for head in (changed, other):
        head.check_names()
    said = ("authorization", "prefer", "host", "location", "form_type", "expects_continue")
    for what in (*said, "fields", "named"):
        assert getattr(changed, what) == getattr(other, what)
    assert changed.head_for(b"/x", b"server") == other.head_for(b"/x", b"server")


def test_no_other_header_may_differ():
    memo = memo_of(request(*FIELDS, TRACE))
    for at, field in enumerate(FIELDS):
        changed = [*FIELDS[:at], field + b"x", *FIELDS[at + 1 :]]
        assert memo.find(request(*changed, TRACE), EDITION) is None


# ── Bounds ───────────────────────────────────────────────────────────────────────────────────────


def test_a_connection_keeps_the_heads_that_it_sent_last_and_no_more():
    heads = [request(*FIELDS, b"X: %d" % number) for number in range(4)]
    memo = memo_of(*heads)
    assert len(memo) == 2
    assert [memo.find(data, EDITION) is not None for data in heads] == [False, False, True, True]


def test_a_long_head_is_not_kept():
    assert len(memo_of(request(*FIELDS, b"X: " + b"y" * 3_000))) == 1
    assert len(memo_of(request(*FIELDS, b"X: " + b"y" * 4_096))) == 0


def test_a_head_in_which_many_values_may_differ_is_not_kept():
    def traced(times: int) -> bytes:
        return request(*FIELDS, *[b"b3: %d" % number for number in range(times)])

    assert len(memo_of(traced(11))) == 1
    assert len(memo_of(traced(12))) == len(memo_of(traced(400))) == 0


def test_learning_stops_where_heads_do_not_repeat():
    heads = [request(*FIELDS, b"X: %d" % number) for number in range(40)]
    memo = memo_of(*heads)
    assert memo.find(heads[-1], EDITION) is None
    assert memo.find(heads[15], EDITION) is not None, "the last of sixteen"
    memo.learn(heads[-1], read(heads[-1]))
    assert memo.find(heads[-1], EDITION) is not None, "one was found since"


def test_another_edition_of_the_token_book_forgets_every_head():
    data = request(*FIELDS)
    memo = memo_of(data)
    assert memo.find(data, object()) is None
    assert len(memo) == 0
