"""What is kept of heads that were read: no credential longer than it is needed, and never much."""

import gc
from types import FunctionType, ModuleType
from typing import Any

import pytest

from tests.support.memory_plane import Deed, MemoryPlane, What
from tests.support.scripted_upstream import OK
from tests.support.wound_loop import on_wound_time

PROMPT = (
    b"POST /flan HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer %b\r\n"
    b"%bContent-Length: 2\r\n\r\n{}"
)
SECRET = b"t-invoke"


@pytest.fixture(autouse=True)
def _wound(monkeypatch):
    on_wound_time(monkeypatch, "parkmeter")


def exchange(plane: MemoryPlane, token: bytes = SECRET, more: bytes = b"", answer: bytes = OK):
    """Have a prompt be answered, if it is let in; return what its client saw."""
    seen = plane.play(Deed(What.SEND, PROMPT % (token, more)))
    if any(data for _, data, _ in seen.servers):
        seen = plane.play(Deed(What.ANSWER, answer))
    return seen.clients


def kept(plane: MemoryPlane) -> list[bytes]:
    """Return all bytes that the data plane and its connections refer to."""
    found: dict[int, Any] = {}
    todo = [plane.plane, plane.book, plane.gate]
    todo += [wire.protocol for wire in (*plane.clients.values(), *plane.servers.values())]
    while todo:
        one = todo.pop()
        if id(one) in found or isinstance(one, (type, ModuleType, FunctionType, MemoryPlane)):
            continue
        found[id(one)] = one
        if not isinstance(one, (str, bytes, bytearray)):
            todo += gc.get_referents(one)
            if hasattr(one, "cell_contents"):
                todo.append(one.cell_contents)
    return [bytes(one) for one in found.values() if isinstance(one, (bytes, bytearray))]


def test_a_credential_is_kept_while_its_connection_repeats_it_and_not_behind_its_end():
    plane = MemoryPlane()
    for _ in range(3):
        exchange(plane)
    assert any(SECRET in one for one in kept(plane))  # else this finds nothing
    plane.play(Deed(What.RESET))
    gc.collect()
    assert not any(SECRET in one for one in kept(plane))


def test_the_head_of_a_revoked_token_is_forgotten_with_the_next_prompt():
    plane = MemoryPlane()
    for _ in range(3):
        exchange(plane)
    plane.play(Deed(What.CHANGE, "invoke is revoked"))
    ((_, answered, *_),) = exchange(plane)
    assert answered.startswith(b"HTTP/1.1 403 ")
    exchange(plane, b"t-bob")
    assert not any(SECRET in one for one in kept(plane))


def test_of_heads_that_never_repeat_little_is_kept():
    plane = MemoryPlane()
    for number in range(2000):
        more = b"X-N: %d%b\r\n" % (number, b"a" * 2000)
        answer = OK.replace(
            b"Content-Length", b"X-N: %d%b\r\nContent-Length" % (number, b"a" * 2000)
        )
        exchange(plane, more=more, answer=answer)
    assert sum(map(len, kept(plane))) < 2_000_000


def test_a_known_head_is_asked_again_whom_it_may_prompt():
    plane = MemoryPlane()
    for _ in range(3):
        exchange(plane)
    plane.play(Deed(What.CHANGE, "invoke may prompt the other only"))
    ((_, answered, *_),) = exchange(plane)
    assert answered.startswith(b"HTTP/1.1 403 ")
