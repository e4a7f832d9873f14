"""Host headers: their meaning, and the memory they may take."""

import tracemalloc

from parkmeter.web.headers import forwarded, host_said

SERVER = ("127.0.0.1", 8080)


def test_a_host_that_is_none_is_our_own():
    assert host_said(b"meter.example:81", SERVER) == "meter.example:81"
    assert host_said(b"a" * 255, SERVER) == "a" * 255
    for none in (b"", b"a b", b"a" * 256, b"\xff"):
        assert host_said(none, SERVER) == "127.0.0.1:8080"


def test_what_is_too_long_for_a_host_is_not_kept():
    host_said(b"", SERVER)
    tracemalloc.start()
    try:
        for number in range(100):
            host = host_said(b"%032000d" % number, SERVER)
            assert host == "127.0.0.1:8080"
            assert b'host="127.0.0.1:8080"' in forwarded("127.0.0.1", host, "http")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 200_000
