"""Host headers: validated, and bounded in the cache."""

import tracemalloc

from parkmeter.web.headers import forwarded_value, host_of

SERVER = ("127.0.0.1", 8080)


def test_a_host_that_is_none_is_our_own():
    assert host_of(b"meter.example:81", SERVER) == "meter.example:81"
    assert host_of(b"a" * 255, SERVER) == "a" * 255
    for none in (b"", b"a b", b"a" * 256, b"\xff"):
        assert host_of(none, SERVER) == "127.0.0.1:8080"


def test_what_is_too_long_for_a_host_is_not_kept():
    host_of(b"", SERVER)
    tracemalloc.start()
    try:
        for number in range(100):
            host = host_of(b"%032000d" % number, SERVER)
            assert host == "127.0.0.1:8080"
            assert b'host="127.0.0.1:8080"' in forwarded_value("127.0.0.1", host, "http")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 200_000
