"""Parts of uvicorn's HTTP protocol as a connection that is shared with prompts needs them.

They may not know what is asked or answered.
"""

import asyncio
from collections.abc import Callable, Sized
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

from parkmeter.web.asgi import Application, Message, Receive, Scope, Send


class Flow(FlowControl):
    """uvicorn's flow control, which reads on only when no request waits behind another."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """See uvicorn."""
        if not self._waiting:
            super().resume_reading()


class Outlet:
    """A client's transport as a request of uvicorn's uses it, but for how it is closed."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


def unchunked(cycle: Any, app: Application) -> Application:
    """An application for a client of HTTP/1.0, who knows no chunks; `cycle`: its uvicorn request.

    An answer of unknown length ends where its connection ends.
    """

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        measured = True

        async def sent(message: Message) -> None:
            nonlocal measured
            if message["type"] == "http.response.start":
                measured = any(name.lower() == b"content-length" for name, _ in message["headers"])
                if not measured:
                    cycle.chunked_encoding = False
            elif not measured:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, sent)

    return run
