"""The server of clients' connections: accepts them, and ends them in order.

It may not know how a connection is read, nor signals, tokens, meters or model servers.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from parkmeter.proxy.turns import Turns
from parkmeter.web.asgi import Application

_BACKLOG = 2048

_LISTENERS = 2
"""Descriptors of the listening socket. Of each, the loop accepts one connection a round: with only
one, a connection that an eject comes on waits behind a burst of 500 for as many rounds. With eight,
a small limit of connections for a peer closed some before they had shown their token."""

_LOOK_SECONDS = 0.01
"""Between two looks, at the end, at whether all is answered."""


class OpenConnection(Protocol):
    """A client's connection, as its server sees it."""

    def shut_down(self) -> None:
        """End: at once if nothing is being answered, else behind the last answer."""

    def drop(self) -> None:
        """End at once."""

    def cut(self, token_id: str) -> None:
        """End what is answered for this token."""


class ClientServer:
    """Serves one application, and prompts as `speak` makes its connections. One event loop.

    `keep_alive_seconds`: the time between two requests of one connection; longer than load
    balancers keep theirs. `connections`: the open ones. `tasks`: the application's requests under
    way, also those whose client has left. `turns`: those of requests that are ready at once.
    """

    def __init__(
        self,
        speak: "Callable[[ClientServer], asyncio.Protocol]",
        application: Application,
        *,
        keep_alive_seconds: float = 75.0,
    ) -> None:
        self.application = application
        self.keep_alive_seconds = keep_alive_seconds
        self.connections: set[OpenConnection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._speak = speak
        self.turns = Turns()
        self._listening: list[asyncio.Server] = []
        self._hurry = False

    async def listen(self, listener: socket.socket) -> None:
        """Accept connections from now on; the socket is closed by `close`."""
        loop = asyncio.get_running_loop()
        for one in (listener, *(listener.dup() for _ in range(_LISTENERS - 1))):
            server = await loop.create_server(lambda: self._speak(self), sock=one, backlog=_BACKLOG)
            self._listening.append(server)

    def hurry(self) -> None:
        """Wait no longer for requests under way; from a signal's handler too."""
        self._hurry = True

    async def close(self, seconds: float) -> None:
        """Accept nothing more, let requests under way end for at most `seconds`, drop the rest."""
        for server in self._listening:
            server.close()
        for connection in tuple(self.connections):
            connection.shut_down()
        give_up = asyncio.get_running_loop().time() + seconds
        while (self.connections or self.tasks) and not self._hurry:
            if asyncio.get_running_loop().time() >= give_up:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        for task in tuple(self.tasks):
            task.cancel()
        for connection in tuple(self.connections):
            connection.drop()
