"""An ASGI server (uvicorn) that runs until SIGTERM or SIGINT. Knows nothing of models."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Generator
from typing import Any

import uvicorn

BACKLOG = 2048
# Interval at which a shutdown checks for the end of requests in flight.
DRAIN_SECONDS = 0.002


class Server(uvicorn.Server):
    """A uvicorn that shuts down at once.

    uvicorn checks its flag every 100 ms, sleeps another 100 ms before it counts connections, and
    finally raises the signal again. Here the signal itself ends the wait, only requests in flight
    delay the shutdown, and the process exits normally.

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
        self._stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Make SIGTERM and SIGINT end `main_loop`."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        yield

    async def main_loop(self) -> None:
        """Report that connections are accepted, and wait for the signal."""
        self._on_ready()
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, close idle connections, let requests in flight finish."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 (uvicorn has no event for the last one)
            await asyncio.sleep(DRAIN_SECONDS)
