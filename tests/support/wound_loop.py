"""An event loop without sockets: time moves when a test says so, connections are wires in memory.

What is ready runs in `settle`, in order; nothing ever waits. So a scene of the data plane takes
microseconds, and comes out the same each time.
"""

import asyncio
import heapq
import sys
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import contextmanager
from contextvars import Context
from typing import Any

HIGH_WATER = 64 * 1024
_READ_AT_MOST = 256 * 1024
"""Bytes of one read, as asyncio and uvloop have it."""


class WoundLoop(asyncio.AbstractEventLoop):
    """An event loop at a time of its own, in seconds from 0.

    `connect` makes the other end of a connection that is opened; OSError from it is one of the
    system. `faults`: errors that no one caught.
    """

    def __init__(self, connect: Callable[[str, int], "Wire"]) -> None:
        self._time = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[asyncio.TimerHandle] = []
        self._connect = connect
        self.faults: list[str] = []

    # ── For tests ───────────────────────────────────────────────────────────────────────────────

    def settle(self) -> None:
        """Run all that is ready, until nothing is."""
        ready = self._ready
        while ready:
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

    def advance(self, seconds: float) -> None:
        """Move the time on; each timer fires at its own time."""
        until = self._time + seconds
        self.settle()
        while self._timers and self._timers[0].when() <= until:
            timer = heapq.heappop(self._timers)
            if not timer.cancelled():
                self._time = max(self._time, timer.when())
                timer._run()
                self.settle()
        self._time = until

    # ── asyncio.AbstractEventLoop ───────────────────────────────────────────────────────────────

    def time(self) -> float:
        return self._time

    def call_soon(
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._time + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave it in the heap: it is skipped there."""

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **named: Any) -> "asyncio.Task[Any]":
        return asyncio.Task(coro, loop=self, **named)

    def get_debug(self) -> bool:
        return False

    def is_closed(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.faults.append(repr(context.get("exception") or context["message"]))

    async def create_connection(  # type: ignore[override]
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple["Wire", asyncio.Protocol]:
        wire = self._connect(host, port)
        protocol = factory()
        wire.attach(protocol)
        return wire, protocol


@contextmanager
def running(loop: WoundLoop):
    """Have this loop be the running one."""
    before = events._get_running_loop()
    events._set_running_loop(loop)
    try:
        yield
    finally:
        events._set_running_loop(before)


class _Socket:
    """The socket of a wire: its addresses, and the options that were set."""

    def __init__(self, wire: "Wire", peer: tuple[str, int]) -> None:
        self._wire = wire
        self._peer = peer

    def setsockopt(self, *_option: object) -> None:
        self._wire.lingers = False

    def getpeername(self) -> tuple[str, int]:
        return self._peer

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 8080


class Wire(asyncio.Transport):
    """The gateway's end of a connection in memory; the test is at the other one.

    `written`: what the gateway wrote and the test did not look at yet. `taking`: the other end
    takes what is written; if not, it piles up. `lost`: the protocol was notified of the end.
    """

    def __init__(self, loop: WoundLoop, peer: tuple[str, int] = ("127.0.0.1", 50000)) -> None:
        super().__init__()
        self._loop = loop
        self._came: list[bytes] = []
        self._end_came = False
        self._unsent = 0
        self._slowed = False
        self._socket = _Socket(self, peer)
        self.protocol: Any = None
        self.written: list[bytes] = []
        self.writes = 0
        self.taking = True
        self.paused = self.closing = self.lost = self.ended = False
        self.lingers = True

    # ── The test's end ──────────────────────────────────────────────────────────────────────────

    def attach(self, protocol: Any) -> None:
        """Connect the wire to the gateway's protocol."""
        self.protocol = protocol
        protocol.connection_made(self)

    def send(self, data: bytes) -> None:
        """Send to the gateway; it reads it at once, or when it reads on."""
        if self.closing or self._end_came:
            return
        if self.paused or self._came:
            self._came.append(data)
        else:
            self.protocol.data_received(data)

    def send_end(self) -> None:
        """Send the end of the stream."""
        self._end_came = True
        self._read()

    def reset(self) -> None:
        """Break the connection off."""
        self.closing = True
        self._loop.call_soon(self._lose, ConnectionResetError())

    def take(self, *, taking: bool) -> None:
        """Take what is written from now on, and all there is; or nothing more."""
        self.taking = taking
        if taking and self._unsent:
            self._unsent = 0
            if self._slowed:
                self._slowed = False
                self.protocol.resume_writing()
            if self.closing:
                self._loop.call_soon(self._lose, None)

    def state(self) -> tuple[bool, ...]:
        """Return what can be seen of it, beside what was written."""
        return self.paused, self.closing, self.lost, self.ended, self.lingers

    # ── asyncio.Transport ───────────────────────────────────────────────────────────────────────

    def write(self, data: Any) -> None:
        if self.closing:
            return
        self.written.append(bytes(data))
        self.writes += 1
        if not self.taking:
            self._unsent += len(data)
            if self._unsent > HIGH_WATER and not self._slowed:
                self._slowed = True
                self.protocol.pause_writing()

    def writelines(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        if self.paused:
            self.paused = False
            self._loop.call_soon(self._read)

    def is_reading(self) -> bool:
        return not self.paused

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            if not self._unsent:
                self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self.closing = True
        self._loop.call_soon(self._lose, None)

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Keep those of asyncio."""

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        match name:
            case "socket":
                return self._socket
            case "peername":
                return self._socket.getpeername()
            case "sockname":
                return self._socket.getsockname()
        return default

    # ── Within ──────────────────────────────────────────────────────────────────────────────────

    def _read(self) -> None:
        while self._came and not (self.paused or self.closing):
            data = b"".join(self._came)
            self._came = [data[_READ_AT_MOST:]] if len(data) > _READ_AT_MOST else []
            self.protocol.data_received(data[:_READ_AT_MOST])
        at_end = self._end_came and not (self._came or self.paused or self.closing)
        if at_end and not self.protocol.eof_received():
            self.close()

    def _lose(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = self.closing = True
            self.protocol.connection_lost(error)


def _now() -> float:
    return asyncio.get_running_loop().time()


class _Times:
    """The module `time`, as code on a wound loop sees it."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.monotonic = self.perf_counter = _now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def on_wound_time(patch: Any, package: str) -> None:
    """Have the loaded modules of a package read the running loop's time as every clock there is.

    `patch` is pytest's `monkeypatch`, which undoes it.
    """
    import time  # noqa: PLC0415 (its own name stays free)

    clocks = {id(time.monotonic): _now, id(time.perf_counter): _now, id(time): _Times(time)}
    for name, module in list(sys.modules.items()):
        if name == package or name.startswith(package + "."):
            for known, value in list(vars(module).items()):
                if id(value) in clocks:
                    patch.setattr(module, known, clocks[id(value)])
