"""Serves an ASGI application with uvicorn until SIGTERM or SIGINT. Knows nothing of models."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Generator
from typing import Any

import uvicorn

BACKLOG = 2048
# How often the last answers are looked for when the process was told to go while some were due.
DRAIN_SECONDS = 0.002


class Server(uvicorn.Server):
    """A uvicorn that leaves at once.

    uvicorn looks at its flag every 100 ms, sleeps another 100 ms before it counts connections, and
    raises the signal again when all is done. Here the signal itself ends the wait; without
    requests in flight nothing is waited for; and having finished is not dying of a signal.

    Args:
        app: The ASGI application.
        on_ready: Called once connections are accepted.
    """

    def __init__(self, app: Any, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http="httptools",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                backlog=BACKLOG,
            )
        )
        self._on_ready = on_ready
        self._told_to_go = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Let SIGTERM and SIGINT end `main_loop`."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_go.set)
        yield

    async def main_loop(self) -> None:
        """Say that connections are accepted, and wait for the signal."""
        self._on_ready()
        await self._told_to_go.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, close what is idle, let what is in flight finish."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 (uvicorn says nothing when the last one closes)
            await asyncio.sleep(DRAIN_SECONDS)
