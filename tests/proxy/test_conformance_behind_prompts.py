"""The table of `test_conformance`, each case behind plain prompts on the same connection.

In memory, with the memo of heads and without it at once: both must read, refuse and answer as the
table says, wherever a case is cut.
"""

import re
from random import Random

import pytest

from tests.proxy.test_conformance import (
    ANSWERS,
    BEGUN,
    CHUNKED,
    FIVE,
    HEAD,
    READ,
    REFUSALS,
    REFUSED,
)
from tests.support.memory_plane import Deed, MemoryPlane, Seen, What
from tests.support.random_input import SEED
from tests.support.scripted_upstream import OK
from tests.support.twins import Difference, Twins, logged
from tests.support.wound_loop import on_wound_time

PLAIN = HEAD + FIVE
FEW_AND_ALL = pytest.mark.parametrize("cuts", [5, pytest.param(None, marks=pytest.mark.extended)])


@pytest.fixture(autouse=True)
def _wound(monkeypatch):
    on_wound_time(monkeypatch, "parkmeter")
    with logged():
        yield


class Side:
    """Both planes, and what a client and a model server received since they last looked."""

    def __init__(self) -> None:
        self.twins = Twins(self._make)
        self.answered = self.asked = b""

    @staticmethod
    def _make() -> tuple[MemoryPlane, MemoryPlane]:
        planes = MemoryPlane(memo=True), MemoryPlane(memo=False)
        for one in planes:
            one.plane.given_ids.remember("resp_1", "flan-t5")
        return planes

    def play(self, what: What, value: object = None) -> None:
        seen = self.twins.play(Deed(what, value))
        if isinstance(seen, Difference):
            pytest.fail(f"with the memo and without it:\n{seen}")
        self._look(seen)

    def warm(self) -> None:
        """Reconnect, and send the plain prompt until its head and its answer are known."""
        self.play(What.RENEW)
        for _ in range(2):
            self.play(What.SEND, PLAIN)
            self.play(What.ANSWER, OK)
        self.answered = self.asked = b""

    def statuses(self) -> list[int]:
        """Return the statuses of the answers."""
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.answered)]

    def _look(self, seen: Seen) -> None:
        self.answered += b"".join(data for _, data, *_ in seen.clients)
        self.asked += b"".join(data for _, data, _ in seen.servers)


def cut(data: bytes, cuts: int | None) -> list[list[bytes]]:
    """Return it whole, in bytes, and cut in two: everywhere, or at a few places."""
    places = range(1, len(data))
    if cuts is not None:
        places = sorted(Random(f"{SEED} {len(data)}").sample(places, min(cuts, len(places))))
    halves = [[data[:at], data[at:]] for at in places]
    return [[data], [data[at : at + 1] for at in range(len(data))], *halves]


@FEW_AND_ALL
@pytest.mark.parametrize("case", READ)
def test_what_can_be_read_is_read_behind_prompts(case, cuts):
    request, expected = READ[case]
    side = Side()
    for pieces in cut(request, cuts):
        side.warm()
        for _ in range(2):  # the second time its own head may be known
            for piece in pieces:
                side.play(What.SEND, piece)
            asked = side.asked
            side.play(What.ANSWER, OK)
            assert side.statuses()[:1] == [200], pieces
            assert asked.startswith(expected.line.encode("latin-1") + b"\r\n"), pieces
            head, _, rest = asked.partition(b"\r\n\r\n")
            assert _joined(rest, chunked=b"chunked" in head) == expected.body, pieces
            shown = [value.strip() for value in re.findall(rb"\r\nx-shown:([^\r]*)", head)]
            assert shown == [] if expected.shown is None else [expected.shown.encode("latin-1")]
            if b"connection: close" in side.answered:
                side.warm()
            side.answered = side.asked = b""


@FEW_AND_ALL
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_refused_behind_prompts(case, cuts):
    side = Side()
    for pieces in cut(REFUSED[case], cuts):
        side.warm()
        for piece in pieces:
            side.play(What.SEND, piece)
            if side.answered:
                break  # refused before its last piece
        side.play(What.PASS, 6.0)  # some refusals of tokens are delayed
        assert side.statuses(), pieces
        assert set(side.statuses()) <= REFUSALS, pieces
        assert case in BEGUN or not side.asked, pieces


@FEW_AND_ALL
@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_means_the_same_behind_known_ones(case, cuts):
    answer, status, body = ANSWERS[case]
    side = Side()
    for pieces in cut(answer, cuts):
        side.warm()
        for _ in range(2):
            side.play(What.SEND, PLAIN)
            for piece in pieces:
                side.play(What.ANSWER, piece)
            if b"\r\nX: y\r\n" in answer:
                side.play(What.SERVER_FINISH)
            assert side.statuses() == [status], pieces
            assert b"x-shown" not in side.answered
            _, _, rest = side.answered.partition(b"\r\n\r\n")
            assert _joined(rest, chunked=b"chunked" in side.answered) == body
            side.answered = side.asked = b""


def _joined(data: bytes, *, chunked: bool) -> bytes:
    body = b""
    while chunked and data:
        line, _, data = data.partition(b"\r\n")
        body, data = body + data[: int(line, 16)], data[int(line, 16) + 2 :]
    return body if chunked else data


def test_a_control_request_whose_body_is_malformed_is_over_for_its_application_too():
    plane = MemoryPlane()
    control = PLAIN.replace(b"/flan", b"/elsewhere").replace(b"Content-Length: 5", b"X: y")
    plane.play(Deed(What.SEND, control.replace(b"X: y\r\n\r\nhello", CHUNKED + b"2\r\nab\r\n")))
    plane.play(Deed(What.SEND, b"x\r\n"))
    _, tasks, *_ = plane.end()
    assert tasks == 0
    ((_, path, _, *received),) = plane.application.calls
    assert (path, received) == (b"/elsewhere", [b"ab", "http.disconnect"])
