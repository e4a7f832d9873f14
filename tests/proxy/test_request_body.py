"""Bodies of requests in many pieces: what comes out is what came in, and they take little room."""

import tracemalloc

import pytest

from parkmeter.proxy.held_body import HeldBody
from parkmeter.proxy.request_body import RequestBody


@pytest.mark.parametrize("kind", [RequestBody, HeldBody])
def test_a_body_in_tiny_pieces_takes_little_more_than_its_bytes(kind):
    count = 50_000
    pieces = [number.to_bytes(2) for number in range(count)]
    tracemalloc.start()
    try:
        body = kind(None, awaits_continue=False)
        for piece in pieces:
            body.add(bytes(bytearray(piece)))  # an object of its own, as the parser makes it
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 2 * 2 * count + 10_000
    assert body.take() == b"".join(pieces)


@pytest.mark.parametrize("kind", [RequestBody, HeldBody])
@pytest.mark.parametrize("sizes", [(), (1,), (1, 1), (5000,), (1, 5000), (5000, 1, 1, 5000, 2)])
def test_pieces_of_any_size_stay_in_their_order(kind, sizes):
    body, whole = kind(None, awaits_continue=False), b""
    for number, size in enumerate(sizes):
        piece = bytes([number]) * size
        body.add(piece)
        whole += piece
    assert body.waiting == len(whole)
    assert (body.ahead(), type(body.ahead())) == (whole, bytes)
    body.add(b"more")
    assert body.take() == whole + b"more"
    assert (body.take(), body.waiting) == (b"", 0)
