"""The address that clients are given: configured, said by a trusted proxy, or as called."""

import pytest

from parkmeter.web.peers import TrustedProxies
from parkmeter.web.public_address import PublicAddress, public_base

PROXY, ELSEWHERE = "10.0.0.1", "192.0.2.7"
BEHIND = PublicAddress(None, TrustedProxies(["10.0.0.0/8"]))
CALLED = ("http", "inner:8080", "/prod")
TLS = ("x-forwarded-proto", "https")
HOST = ("x-forwarded-host", "meter.example.org")
PREFIX = ("x-forwarded-prefix", "/gpu/box")


def base(*fields: tuple[str, str], address: str = PROXY, rule: PublicAddress = BEHIND) -> str:
    named = [(name.encode(), value.encode("latin-1")) for name, value in fields]
    return rule.base(address, named, CALLED)


def test_what_a_trusted_proxy_says_is_the_base():
    assert base(TLS, HOST, PREFIX) == "https://meter.example.org/gpu/box/prod"
    assert base(TLS) == "https://inner:8080/prod"
    assert base(HOST) == "http://meter.example.org/prod"
    assert base(("x-forwarded-prefix", "/gpu/")) == "http://inner:8080/gpu/prod"
    assert base(("x-forwarded-prefix", "/")) == "http://inner:8080/prod"


def test_what_anyone_else_says_is_not():
    assert base(TLS, HOST, PREFIX, address=ELSEWHERE) == "http://inner:8080/prod"
    assert base(TLS, HOST, PREFIX, rule=PublicAddress()) == "http://inner:8080/prod"
    forged = ("x-forwarded-for", PROXY)
    assert base(TLS, HOST, forged, address=ELSEWHERE) == "http://inner:8080/prod"


def test_the_configured_address_comes_before_all():
    rule = PublicAddress("https://meter.example.org/prod", TrustedProxies([PROXY]))
    assert base(rule=rule) == base(TLS, PREFIX, rule=rule) == "https://meter.example.org/prod"


def test_of_a_chain_the_nearest_proxy_s_word_counts():
    forged = ("x-forwarded-host", "evil.example")
    assert base(forged, HOST) == "http://meter.example.org/prod"
    assert base(("x-forwarded-host", "evil.example, meter.example.org")) == base(HOST)
    assert base(("x-forwarded-proto", "http"), ("x-forwarded-proto", "http, https")) == base(TLS)


@pytest.mark.parametrize(
    "field",
    [
        ("x-forwarded-proto", "javascript"),
        ("x-forwarded-proto", "https://"),
        ("x-forwarded-proto", ""),
        ("x-forwarded-host", "evil.example/path"),
        ("x-forwarded-host", "a b"),
        ("x-forwarded-host", "ada@evil.example"),
        ("x-forwarded-host", "evil.example'; rm -rf ~ #"),
        ("x-forwarded-host", "a" * 256),
        ("x-forwarded-host", "evil.example, "),
        ("x-forwarded-prefix", "gpu"),
        ("x-forwarded-prefix", "//evil.example"),
        ("x-forwarded-prefix", "/a/../b"),
        ("x-forwarded-prefix", "/."),
        ("x-forwarded-prefix", "/a'b"),
        ("x-forwarded-prefix", "/a?b"),
        ("x-forwarded-prefix", "/" + "a" * 65),
        ("x_forwarded_host", "evil.example"),
    ],
)
def test_what_is_not_valid_is_ignored(field):
    assert base(field) == "http://inner:8080/prod"


def test_an_asgi_request_gets_the_same():
    fields = [(name.encode(), value.encode()) for name, value in (("host", "inner"), TLS, HOST)]
    scope = {"scheme": "http", "headers": fields, "root_path": "/prod", "client": (PROXY, 5)}
    assert public_base(scope, BEHIND) == "https://meter.example.org/prod"
    assert public_base({**scope, "client": None}, BEHIND) == "http://inner/prod"
