"""What an endpoint printed, by HTTP: `GET /endpoints/{name}/logs`. Knows no files: `ports.Logs`.

Admins only: servers print what they are sent.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool as in_thread

from parkmeter.api.dependencies import ApiContext, Name, token_of
from parkmeter.api.schemas import problems
from parkmeter.core.tokens import Scope as TokenScope
from parkmeter.core.tokens import Token
from parkmeter.errors import TokenRefusedError
from parkmeter.ports import Log, Logs
from parkmeter.web.asgi import Receive, Scope, Send
from parkmeter.web.auth import require

_MOST_LINES = 10_000
_LOOK_AGAIN = 0.25
"""Seconds between two looks for more. Nobody tells us of new lines; people read no faster."""


def add_log_routes(
    app: FastAPI, control: ApiContext, logs: Logs, ended: Callable[[], bool] = lambda: False
) -> None:
    """Make an application answer it. `ended`: nobody is followed any more, the gateway stops."""
    service, known_token = control.service, token_of(control)

    @app.get(
        "/endpoints/{name}/logs",
        tags=["endpoints"],
        responses={200: _DOCUMENTED, **problems(400, 404, 502)},
        response_class=StreamingResponse,
    )
    async def log_of(
        name: Name,
        request: Request,
        *,
        token: Token = known_token,
        lines: Annotated[int, Query(ge=1, le=_MOST_LINES, description="How many, at most.")] = 200,
        follow: Annotated[
            bool, Query(description="Go on with what is printed, until you hang up.")
        ] = False,
    ) -> StreamingResponse:
        """The last lines an endpoint printed, over its restarts, as they are.

        A line of parkmeter's divides one run from the next. Needs the scope `admin`.
        """
        require(token, TokenScope.ADMIN, name)
        await in_thread(service.report, name)  # refuses a name that is none
        log = await in_thread(partial(logs.open, name, lines, follow=follow))
        header = request.headers.get("authorization")

        def cut_off() -> bool:
            return ended() or not _still_good(control, header)

        return _LogResponse(log, cut_off if follow else None)


_DOCUMENTED = {
    "description": "Plain text, oldest line first.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}


class _LogResponse(StreamingResponse):
    """Streams a log as long as the client listens, then closes it; for `cut_off` see `_pieces`."""

    def __init__(self, log: Log, cut_off: Callable[[], bool] | None) -> None:
        super().__init__(
            _pieces(log, cut_off),
            media_type="text/plain; charset=utf-8",
            # The text is a server's own: no browser shall take it for a page.
            headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
        )
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See Starlette. Not left to the pieces: a client may leave before the first one."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._log.close()


async def _pieces(log: Log, cut_off: Callable[[], bool] | None) -> AsyncIterator[bytes]:
    """The log up to its present end; with `cut_off` on and on, until that says so.

    Asked after every piece, or a server that never stops printing would be followed for ever.
    """
    while True:
        piece = await in_thread(log.read)
        if piece:
            yield piece
        elif cut_off is None:
            return
        else:
            await asyncio.sleep(_LOOK_AGAIN)
        if cut_off is not None and cut_off():
            return


def _still_good(control: ApiContext, header: str | None) -> bool:
    """Whether the token was neither revoked nor expired since: following may take days."""
    try:
        control.book.check(header, control.now())
    except TokenRefusedError:
        return False
    return True
