"""Cross-origin answers: exact origins only, and nothing for any other."""

import pytest

from parkmeter.web.cross_origin import CrossOrigin

PAGE = b"https://chat.example.org"
RULE = CrossOrigin([PAGE.decode(), "http://localhost:3000"])
ASKED = {b"origin": PAGE, b"access-control-request-method": b"POST"}


def test_an_allowed_origin_may_read_the_answer_and_what_is_exposed():
    fields = dict(RULE.fields({b"origin": PAGE}))
    assert fields[b"access-control-allow-origin"] == PAGE
    assert fields[b"vary"] == b"Origin"
    assert {b"Retry-After", b"Parkmeter-Seconds-Left"} <= set(
        fields[b"access-control-expose-headers"].split(b", ")
    )
    assert b"access-control-allow-credentials" not in fields
    lines = RULE.lines({b"origin": PAGE})
    assert lines == b"".join(b"%b: %b\r\n" % one for one in RULE.fields({b"origin": PAGE}))


@pytest.mark.parametrize(
    "origin",
    [
        b"null",
        b"*",
        b"",
        b"https://evil.example",
        b"https://chat.example.org.evil.example",
        b"https://chat.example.org:443",
        b"http://chat.example.org",
        b"https://CHAT.example.org",
        b"https://chat.example.org/",
        b"https://chat.example.org https://evil.example",
        b"https://chat.example.org\r\nX: y",
    ],
)
def test_any_other_origin_gets_nothing_but_vary(origin):
    assert RULE.fields({b"origin": origin}) == [(b"vary", b"Origin")]
    assert RULE.lines({b"origin": origin}) == b"vary: Origin\r\n"
    assert RULE.preflight("OPTIONS", {**ASKED, b"origin": origin}) is None
    assert RULE.lines({}) == b"vary: Origin\r\n"


def test_a_preflight_is_answered_with_the_headers_it_asks_for():
    wanted = b"authorization,content-type,x-stainless-retry-count"
    fields = RULE.preflight("OPTIONS", {**ASKED, b"access-control-request-headers": wanted})
    named = dict(fields)
    assert named[b"access-control-allow-origin"] == PAGE
    assert named[b"access-control-allow-headers"] == wanted
    assert b"POST" in named[b"access-control-allow-methods"]
    assert b"*" not in b"".join(value for _, value in fields)
    assert b"access-control-allow-credentials" not in named


@pytest.mark.parametrize("wanted", [b"a\r\nX: y", b"*", b"a b", b"a" * 65, b",".join([b"a"] * 65)])
def test_odd_names_of_headers_are_not_repeated(wanted):
    fields = RULE.preflight("OPTIONS", {**ASKED, b"access-control-request-headers": wanted})
    assert b"access-control-allow-headers" not in dict(fields)


def test_only_options_with_a_method_asked_for_is_a_preflight():
    assert RULE.preflight("POST", ASKED) is None
    assert RULE.preflight("OPTIONS", {b"origin": PAGE}) is None
