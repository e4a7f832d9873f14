"""`GET /endpoints/{name}/logs`: an endpoint's output. Knows no files, only `ports.Logs`.

For admins only: servers may print the prompts they get.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.responses import StreamingResponse

from parkmeter.api.dependencies import ApiContext, Name, token_of
from parkmeter.api.schemas import problems
from parkmeter.core.tokens import Scope as TokenScope
from parkmeter.core.tokens import Token, require
from parkmeter.errors import TokenRefusedError
from parkmeter.ports import Log, Logs
from parkmeter.web.asgi import Receive, Scope, Send

_MOST_LINES = 10_000
_POLL = 0.25
"""Seconds between two polls for new lines, of which there is no event; people read no faster."""

Run = Callable[[Callable[[], bytes]], Awaitable[bytes]]
"""Runs a call on a thread of the lane of logs."""


def add_log_routes(
    app: FastAPI, context: ApiContext, logs: Logs, ended: Callable[[], bool] = lambda: False
) -> None:
    """Add the route to an application. `ended`: whether the gateway stops, which ends following."""
    service, known_token = context.service, token_of(context)

    @app.get(
        "/endpoints/{name}/logs",
        tags=["endpoints"],
        responses={200: _DOCUMENTED, **problems(400, 404, 502)},
        response_class=StreamingResponse,
    )
    async def get_logs(
        name: Name,
        request: Request,
        *,
        token: Token = known_token,
        lines: Annotated[int, Query(ge=1, le=_MOST_LINES, description="Most lines.")] = 200,
        follow: Annotated[
            bool, Query(description="Continue with new lines until you disconnect.")
        ] = False,
    ) -> StreamingResponse:
        """Return the last lines that an endpoint printed, unchanged, across restarts.

        A line from parkmeter separates the runs. Needs the scope `admin`.
        """
        require(token, TokenScope.ADMIN, name)
        await context.lanes.reads.run(token.id, service.report, name)  # refuses an unknown name
        lane = context.lanes.logs
        log = await lane.run(token.id, partial(logs.open, name, lines, follow=follow))
        header = context.credential(request)

        def cut_off() -> bool:
            return ended() or not _token_valid(context, header)

        return _LogResponse(partial(lane.run, token.id), log, cut_off if follow else None)


_DOCUMENTED = {
    "description": "Plain text, oldest line first.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}


class _LogResponse(StreamingResponse):
    """Streams a log until the client disconnects, then closes it; for `cut_off` see `_pieces`."""

    def __init__(self, run: Run, log: Log, cut_off: Callable[[], bool] | None) -> None:
        super().__init__(
            _pieces(run, log, cut_off),
            media_type="text/plain; charset=utf-8",
            # The text is a server's: a browser must not take it for a page.
            headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
        )
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See Starlette. Closed here, as a client may disconnect before the first piece."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._log.close()


async def _pieces(run: Run, log: Log, cut_off: Callable[[], bool] | None) -> AsyncIterator[bytes]:
    """Yield the log up to its present end; with `cut_off`, follow it until that returns True.

    It is called after every piece, or a server that never stops printing would never be cut off.
    """
    while True:
        piece = await run(log.read)
        if piece:
            yield piece
        elif cut_off is None:
            return
        else:
            await asyncio.sleep(_POLL)
        if cut_off is not None and cut_off():
            return


def _token_valid(context: ApiContext, header: str | None) -> bool:
    """Return whether the token is still valid: following may take days."""
    try:
        context.book.check(header, context.now())
    except TokenRefusedError:
        return False
    return True
