"""Counts of what one prompt costs that do not depend on the machine: calls, bytes, writes, timers.

`python -m tests.support.prompt_counts` writes those of this source to `prompt_counts.toml`.
"""

import gc
import sys
import tomllib
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType, SimpleNamespace

from parkmeter.proxy.request_body import chunk
from tests.support.memory_plane import MemoryPlane
from tests.support.wound_loop import on_wound_time, running

STORED = Path(__file__).parents[1] / "proxy" / "prompt_counts.toml"
_OURS = str(Path(__file__).parents[1])
_TIMES = 200

TOKEN = b"Authorization: Bearer t-invoke\r\n"
HEAD = b"Host: gateway.test:8080\r\n" + TOKEN + b"Content-Type: application/json\r\n"
ANSWER = (
    b"HTTP/1.1 200 OK\r\ndate: Mon, 01 Mar 2027 12:00:00 GMT\r\nserver: uvicorn\r\n"
    b"content-length: 67\r\ncontent-type: application/json\r\n\r\n"
    b'{"id":"chat-1","usage":{"prompt_tokens":12,"completion_tokens":34}}'
)
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = chunk(b'data: {"word":"hello"}\n\n')


@dataclass(frozen=True)
class Counts:
    """What one prompt, or one event, costs.

    `calls` of Python functions; `peak_bytes` it has at most at once; `writes` to both connections;
    `timers` of the loop that are set; `kept`: blocks of memory that stay.
    """

    calls: int
    peak_bytes: int
    writes: int
    timers: int
    kept: int


def _sized(path: bytes, body: bytes, more: bytes = b"") -> bytes:
    head = b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b"
    return head % (path, HEAD, more, len(body), body)


_CHAT = b'{"model":"q","messages":[{"role":"user","content":"' + b"a" * 960 + b'"}]}'
_SHORT = b'{"text_inputs":"x"}'


@dataclass(frozen=True)
class Kind:
    """A kind of prompt: the n-th one, and its answer. `begun`: an exchange it is a part of."""

    prompt: Callable[[int], bytes]
    answer: bytes
    begun: tuple[bytes, bytes] | None = None


KINDS = {
    "repeated head": Kind(lambda _: _sized(b"/flan", _SHORT), ANSWER),
    "one header that differs": Kind(
        lambda n: _sized(b"/flan", _SHORT, b"traceparent: 00-%032x-01\r\n" % n), ANSWER
    ),
    "below v1, 1 KB": Kind(lambda _: _sized(b"/v1/chat/completions", _CHAT), ANSWER),
    "event of a stream": Kind(lambda _: b"", EVENT, (_sized(b"/flan", b"{}"), STREAM)),
}


class _Scene:
    """A client's and a model server's connection, and prompts of one kind on them."""

    def __init__(self, plane: MemoryPlane, kind: Kind) -> None:
        self._loop = plane.loop
        self._client = plane.client(0)
        self._answer = kind.answer
        first, answer = kind.begun or (kind.prompt(0), kind.answer)
        self._client.protocol.data_received(first)
        self._loop.settle()
        (self._server,) = plane.servers.values()
        self._server.protocol.data_received(answer)

    def play(self, prompt: bytes) -> None:
        if prompt:
            self._client.protocol.data_received(prompt)
            self._loop.settle()
        self._server.protocol.data_received(self._answer)
        self._loop.settle()

    def clear(self) -> None:
        """Forget what was written."""
        self._client.written.clear()
        self._server.written.clear()

    @property
    def steps(self) -> tuple[int, int]:
        """Return the writes to both connections, and the timers set, so far."""
        return self._client.writes + self._server.writes, self._loop.timers


def counted(name: str) -> Counts:
    """Return what a prompt of this kind costs once its head is known.

    The gateway's modules are to be on wound time.
    """
    plane, kind = MemoryPlane(), KINDS[name]
    prompts = [kind.prompt(n) for n in range(_TIMES + 2)]
    with running(plane.loop):
        scene = _Scene(plane, kind)
        for prompt in prompts:
            scene.play(prompt)
            scene.clear()
        gc.collect()
        gc.disable()
        try:
            before, blocks = scene.steps, sys.getallocatedblocks()
            for prompt in prompts[2:]:
                scene.play(prompt)
                scene.clear()
            kept = max(0, sys.getallocatedblocks() - blocks)
            writes, timers = (
                (now - then) // _TIMES for now, then in zip(scene.steps, before, strict=True)
            )
            return Counts(
                calls=_calls(scene, prompts[0]),
                peak_bytes=min(_peak(scene, prompt) for prompt in prompts[1:9]),
                writes=writes,
                timers=timers,
                kept=kept // _TIMES,
            )
        finally:
            gc.enable()


def _calls(scene: _Scene, prompt: bytes) -> int:
    """Return the calls of Python functions, without those of the tests."""
    calls = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        if event == "call" and not frame.f_code.co_filename.startswith(_OURS):
            calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        scene.play(prompt)
    finally:
        sys.setprofile(before)
    return calls


def _peak(scene: _Scene, prompt: bytes) -> int:
    """Return the bytes at the peak; once in a while a cache that grows is among them."""
    tracemalloc.start()
    try:
        scene.play(prompt)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def stored() -> dict[str, Counts]:
    """Return the counts of the source at which they were last written."""
    return {name: Counts(**of) for name, of in tomllib.loads(STORED.read_text()).items()}


def main() -> None:
    """Write the counts of this source."""
    lines = ["# Written by `python -m tests.support.prompt_counts`; see tests/support.\n"]
    on_wound_time(SimpleNamespace(setattr=setattr), "parkmeter")
    for name in KINDS:
        fields = "".join(f"{key} = {value}\n" for key, value in asdict(counted(name)).items())
        lines.append(f'\n["{name}"]\n{fields}')
    STORED.write_text("".join(lines))


if __name__ == "__main__":
    main()
