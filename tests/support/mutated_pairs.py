"""Scenes of a kept connection: plain prompts, and between them pairs of a request and its answer
that were changed in a few places, cut anywhere, paused, and broken off by either side.

A scene is a generator of deeds that is sent what could be seen after each, so that it can begin
on a new connection where the old one has ended. All follows from the random numbers given.
"""

import gzip
import re
from collections.abc import Generator, Sequence
from itertools import pairwise
from random import Random

from tests.support.memory_plane import CHANGES, Deed, Seen, What
from tests.support.mutated_heads import (
    ANSWERS,
    BODILESS,
    INTERIM,
    LINES_ANSWERED,
    LINES_ASKED,
    PROMPTS,
    STARTS_ANSWERED,
    STARTS_ASKED,
    STREAMS,
    Head,
    Mutator,
    damaged,
)

Scene = Generator[Deed, Seen, None]

_USAGE = b'"usage":{"prompt_tokens":%d,"completion_tokens":%d}'
_PAUSES = (0.0004, 0.3, 0.7, 1.0, 1.5, 3.0, 4.5, 5.5, 11.0, 21.0, 31.0, 41.0)
_LARGE = b"x" * 100_000
_CHUNK = re.compile(rb"\r\n(?=[0-9A-Fa-f]+[^\r\n]*\r\n)")
_SHAPES = (b"%x", b"%X", b"00%x", b"%x;a=b", b'%x;c="d"', b"%x ")
_LAST = (b"0\r\n\r\n",) * 4 + (b"0;z\r\n\r\n", b"000\r\nX-Shown: no\r\n\r\n")


def pairs(rng: Random, count: int) -> Scene:
    """Yield `count` pairs among plain prompts, all for one client that keeps its connection."""
    pairs = _Pairs(rng)
    yield from pairs.warm()
    left = count
    while left > 0:
        left -= yield from pairs.family()


def changes(rng: Random, count: int) -> Scene:
    """Yield `count` configuration changes among plain prompts of several clients."""
    pairs = _Pairs(rng, clients=3)
    for _ in range(count):
        for _ in range(rng.randint(0, 3)):
            pairs.client = rng.randrange(3)
            yield from pairs.plain()
        kind = rng.random()
        if kind < 0.7:
            yield from pairs.change()
        elif kind < 0.85:
            yield Deed(What.PASS, rng.choice(_PAUSES))
        else:
            yield from pairs.family()


class _Pairs:
    """What one scene has in mind: its clients and the prompts that they repeat."""

    def __init__(self, rng: Random, clients: int = 1) -> None:
        self.rng = rng
        self.client = 0
        self._clients = clients
        self._asked = Mutator(rng, LINES_ASKED, STARTS_ASKED)
        self._answered = Mutator(rng, LINES_ANSWERED, STARTS_ANSWERED)
        self._prompt = PROMPTS["short"]
        self._answer = ANSWERS["short"]
        self._interim = b""

    # ── Plain prompts ───────────────────────────────────────────────────────────────────────────

    def warm(self) -> Scene:
        """Repeat a prompt until its head is a known one."""
        self._prompt = self.rng.choice(tuple(PROMPTS.values()))
        self._answer = self.rng.choice(tuple(ANSWERS.values()))
        for _ in range(3):
            yield from self.plain()

    def plain(self) -> Generator[Deed, Seen, bool]:
        """Send a prompt whole and answer it whole; return True if it was answered so."""
        body = self._body()
        seen = yield self._send(self._prompt.of(len(body), self.rng) + body)
        if any(data for _, data, _ in seen.servers):
            answer = self._answer_body()
            seen = yield Deed(What.ANSWER, self._answer.of(len(answer), self.rng) + answer)
        mine = [data for number, data, *_ in seen.clients if number == self.client]
        ends = any(state[1] or state[3] for *_, state, _ in seen.clients)
        return bool(mine and mine[0][:9] == b"HTTP/1.1 ") and not ends and not any(seen.counts[0])

    # ── Pairs ───────────────────────────────────────────────────────────────────────────────────

    def family(self) -> Generator[Deed, Seen, int]:
        """Play a changed pair once or a few times; return how often."""
        rng = self.rng
        asked, answered = self._prompt, self._answer
        known = (*ANSWERS.values(), *BODILESS.values(), *[answered] * 6)
        kind = rng.random()
        near = kind < 0.45
        if kind < 0.2:
            asked = self._asked.near(asked)
        elif near:
            answered = self._answered.near(rng.choice(known))
        elif kind < 0.7:
            asked = self._asked.some(asked)
        elif kind < 0.8:
            asked, answered = self._asked.some(asked), self._answered.some(rng.choice(known))
        elif kind < 0.95:
            answered = rng.choice((*STREAMS.values(), *[STREAMS["events"]] * 3))
            if rng.random() < 0.5:
                answered = self._answered.some(answered)
        else:
            yield from self._stalled()
            return 1
        self._interim = rng.choice(INTERIM) * rng.randint(1, 2) if rng.random() < 0.1 else b""
        times = rng.choice((1, 2, 2, 3))
        for _ in range(times):
            yield from self._near(asked, answered) if near else self._pair(asked, answered)
            if rng.random() < 0.6 and not (yield from self.plain()):
                yield self._deed(What.RENEW)
                if rng.random() < 0.3:
                    yield from self.warm()
                else:
                    yield from self.plain()
                    yield from self.plain()
            if rng.random() < 0.15:
                asked = self._asked.near(asked)
        self._interim = b""
        return times

    def _stalled(self) -> Scene:
        """Play prompts whose client takes nothing of their answers for a time."""
        yield self._deed(What.STALL)
        for size in (self.rng.choice((40_000, 80_000)), 70_000, 2):
            body = self._body()
            yield self._send(self._prompt.of(len(body), self.rng) + body)
            yield Deed(What.ANSWER, self._answer.of(size, self.rng) + _LARGE[:size])
            if self.rng.random() < 0.2:
                yield Deed(What.PASS, self.rng.choice(_PAUSES))
        yield self._deed(What.TAKE)
        yield Deed(What.ANSWER, self._answer.of(2, self.rng) + b"{}")
        yield self._deed(What.RENEW)
        yield from self.plain()

    def change(self) -> Scene:
        """Change something that is in force, perhaps in the midst of a prompt."""
        rng = self.rng
        deed = Deed(What.CHANGE, rng.choice(tuple(CHANGES)))
        if rng.random() < 0.6:
            yield deed
        else:
            body = self._body()
            answer = self._answer_body()
            whole = [
                self._send(self._prompt.of(len(body), self.rng) + body),
                Deed(What.ANSWER, self._answer.of(len(answer), self.rng) + answer),
            ]
            if rng.random() < 0.5:
                whole = self._cut(What.SEND, whole[0].value) + whole[1:]
            whole.insert(rng.randint(1, len(whole)), deed)
            for each in whole:  # noqa: UP028 (a list takes nothing that is sent)
                yield each
        if rng.random() < 0.4:
            restored = ("tokens are as at first", "the same routes again", "it serves")
            yield Deed(What.CHANGE, rng.choice(restored))
        if rng.random() < 0.2:
            self.client = rng.randrange(self._clients)
            yield self._deed(What.RENEW)

    def _near(self, asked: Head, answered: Head) -> Scene:
        """Play a request and its answer, both whole or cut at once behind or in the head."""
        body, answer = self._body(), self._answer_body()
        yield from self._each(What.SEND, asked.of(len(body), self.rng) + body)
        head = self._interim + answered.of(len(answer), self.rng)
        yield from self._each(What.ANSWER, head + (b"" if _is_bodiless(answered) else answer))

    def _each(self, what: What, data: bytes) -> Scene:
        at = len(data)
        if self.rng.random() < 0.15:
            at = self.rng.randrange(1, at)
        for piece in filter(None, (data[:at], data[at:])):
            yield self._deed(what, piece)

    def _pair(self, asked: Head, answered: Head) -> Scene:
        """Play one request and its answer, with what may come between."""
        rng = self.rng
        request = self._request(asked)
        answers = [self._answer_to(answered)]
        if rng.random() < 0.15:  # more behind it
            for _ in range(rng.choice((1, 1, 2, 5))):
                body = self._body()
                behind = rng.choice((self._prompt, self._prompt, asked))
                request += behind.of(len(body), self.rng) + body
                answers.append(self._answer_to(rng.choice((answered, self._answer))))
        if rng.random() < 0.06:
            request = damaged(rng, request)
        if rng.random() < 0.06:
            request += rng.choice((b"\r\n", b"x", b"\0", b"POST /flan", _LARGE[:3000]))
        sending = self._cut(What.SEND, request)
        sent = [
            deed
            for at, answer in enumerate(answers)
            for deed in (*self._incident(0.03), *self._cut(What.ANSWER, answer, first=not at))
        ]
        if rng.random() < 0.1:  # the answer begins before the request is complete
            at = rng.randrange(len(sending) + 1)
            deeds = sending[:at] + sent[:1] + sending[at:] + sent[1:]
        else:
            deeds = sending + sent
        if rng.random() < 0.25:
            at = rng.randrange(len(deeds) + 1)
            deeds[at:at] = self._incident(1)
        if rng.random() < 0.1 and len(deeds) > 2:  # it breaks off
            end = rng.choice((What.SERVER_FINISH, What.SERVER_RESET, What.RESET, What.PASS))
            deeds[-1:] = [self._deed(end, rng.choice(_PAUSES))]
        if answered.lines and not any(b"ength" in line for line in answered.lines):
            deeds.append(Deed(What.SERVER_FINISH))
        reached = rng.random() < 0.03  # a server may send without being asked
        for deed in deeds:
            if deed.what is not What.ANSWER or reached:
                seen = yield deed
                reached = reached or any(data for _, data, _ in seen.servers)
        yield self._deed(What.TAKE)
        yield Deed(What.SERVER_TAKE)

    def _incident(self, likely: float) -> list[Deed]:
        """Return something that disturbs an exchange."""
        rng = self.rng
        if rng.random() >= likely:
            return []
        kind = rng.choice((*What, What.PASS, What.PASS, What.PASS))
        match kind:
            case What.SEND | What.ANSWER:
                return []
            case What.PASS:
                return [Deed(kind, rng.choice(_PAUSES))]
            case What.CHANGE:
                return [Deed(kind, rng.choice(tuple(CHANGES)))] if rng.random() < 0.1 else []
            case _:
                return [self._deed(kind)]

    def _request(self, head: Head) -> bytes:
        """Return a request with this head and a body, most often one that fits."""
        rng = self.rng
        if any(line[:19].lower() == b"transfer-encoding: " for line in head.lines):
            plain = tuple(line for line in head.lines if line[:14].lower() != b"content-length")
            if rng.random() < 0.8:
                head = Head(head.start, plain)
            body = self._body()
            return head.of(len(body), self.rng) + self._chunked(body)
        body = self._body()
        wrong = rng.choice((0,) * 12 + (1, -1, 5)) if body else 0
        if head.start[:3] in {b"GET", b"HEA"} and rng.random() < 0.8:
            return Head(head.start, tuple(line for line in head.lines if b"%d" not in line)).of(
                0, self.rng
            )
        return head.of(len(body) + wrong, self.rng) + body

    def _answer_to(self, head: Head) -> bytes:
        """Return an answer with this head and a body, most often one that fits."""
        rng = self.rng
        body = self._answer_body()
        if any(b"event-stream" in line for line in head.lines):
            body = self._events()
        elif rng.random() < 0.1:
            body = b"5\r\nhello\r\n" * 3  # a body that is like chunks
        if any(b"gzip" in line for line in head.lines) and rng.random() < 0.7:
            body = gzip.compress(body, mtime=0)
        if any(line[:26].lower() == b"transfer-encoding: chunked" for line in head.lines):
            data = head.of(len(body), self.rng) + self._chunked(body)
        else:
            wrong = rng.choice((0,) * 14 + (1, -1, 5)) if body else 0
            if _is_bodiless(head) and rng.random() < 0.7:
                body = b""
            data = head.of(len(body) + wrong, self.rng) + body
        if rng.random() < 0.06:
            data = damaged(rng, data)
        if rng.random() < 0.04:
            data += rng.choice(
                (b"\r\n", b"x", b"HTTP/1.1 200 OK\r\nX: ", self._answer.of(0, self.rng))
            )
        return self._interim + data

    # ── Bytes ───────────────────────────────────────────────────────────────────────────────────

    def _body(self) -> bytes:
        rng = self.rng
        if b"/v1/" in self._prompt.start[:12]:
            model = rng.choice((b"q", b"q", b"q", b"flan-t5", b"none"))
            return b'{"model":"%b","n":%d}' % (model, rng.randrange(2000))
        kind = rng.random()
        if kind < 0.6:
            return b'{"n":%d}' % rng.randrange(20_000)
        if kind < 0.8:
            return b'{"messages":"' + b"a" * rng.randrange(2000) + b'"}'
        if kind < 0.85:
            return _LARGE[: rng.choice((20_000, 70_000))]
        return b"" if kind < 0.9 else b'{"stream":true}'

    def _answer_body(self) -> bytes:
        rng = self.rng
        kind = rng.random()
        if kind < 0.5:
            return b'{"id":"resp_Z%d",%b}' % (rng.randrange(3), self._usage())
        if kind < 0.9:
            return b'{"n":%d}' % rng.randrange(20_000)
        return b"" if kind < 0.95 else _LARGE[: rng.choice((3000, 80_000))]

    def _usage(self) -> bytes:
        return _USAGE % (self.rng.randrange(99), self.rng.randrange(99))

    def _events(self) -> bytes:
        events = [b'data: {"n":%d}\n\n' % n for n in range(self.rng.randrange(4))]
        if self.rng.random() < 0.7:
            events.append(b"data: {%b}\n\n" % self._usage())
        return b"".join([*events, self.rng.choice((b"data: [DONE]\n\n", b"data: half", b""))])

    def _chunked(self, body: bytes) -> bytes:
        rng = self.rng
        shapes = _SHAPES if rng.random() < 0.4 else _SHAPES[:1]
        most = min(len(body), 9000) if rng.random() < 0.7 else 30
        written = []
        while body:
            size = rng.randint(min(most, 1 + len(body) // 60), most)
            piece, body = body[:size], body[size:]
            line = rng.choice(shapes).replace(b"%x", b"%x" % len(piece))
            written += line.replace(b"%X", b"%X" % len(piece)), b"\r\n", piece, b"\r\n"
        return b"".join([*written, rng.choice(_LAST)])

    def _cut(self, what: What, data: bytes, *, first: bool = True) -> list[Deed]:
        """Return its pieces: most often it is whole."""
        rng = self.rng
        kind = rng.random()
        cuts: Sequence[int] = ()
        if b"hunked" in data[:4000] and rng.random() < 0.5:
            cuts = [found.end() for found in _CHUNK.finditer(data)]
        elif kind < 0.6:
            pass
        elif kind < 0.7:
            cuts = [data.find(b"\r\n\r\n") + rng.choice((4, 4, 4, 3, 2, 5))]
        elif kind < 0.98 or len(data) > 300:
            cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((1, 1, 2, 4))))
        else:
            cuts = range(1, len(data))
        edges = [0, *cuts, len(data)]
        pieces = [data[a:b] for a, b in pairwise(edges) if a < b]
        paused = first and rng.random() < (0.3 if len(cuts) > 1 else 0.05)
        deeds = []
        for piece in pieces:
            deeds.append(self._deed(what, piece))
            if paused and rng.random() < 0.5:
                deeds.append(Deed(What.PASS, rng.choice(_PAUSES)))
        return deeds

    def _send(self, data: bytes) -> Deed:
        return self._deed(What.SEND, data)

    def _deed(self, what: What, value: object = None) -> Deed:
        return Deed(what, value, self.client)


def _is_bodiless(head: Head) -> bool:
    return head.start[9:12] in {b"204", b"304"}
