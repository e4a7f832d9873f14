"""`GET /events`: the endpoints as they change, as server-sent events. Local gateway only.

The token comes in the header as everywhere, never in the address, so browsers read the stream
with `fetch`. It ends when the token does.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool as in_thread

from parkmeter.api.dependencies import ApiContext, token_of
from parkmeter.api.feed import Feed, Listener
from parkmeter.api.schemas import problems
from parkmeter.core.tokens import Token
from parkmeter.errors import ParkmeterError, TokenRefusedError
from parkmeter.web.asgi import ABORT, Receive, Scope, Send

log = logging.getLogger(__name__)

MOST_LISTENERS = 100
"""Each is a connection that is kept; a page open in every browser of a team is far fewer."""

MOST_OF_ONE_TOKEN = 10
"""No token keeps the others' holders from listening."""

_KEEP_ALIVE = 5.0
"""Seconds of silence after which something is sent, so that a lost connection shows."""

_STUCK = 20.0
"""Seconds that a client may take nothing while something is to be sent."""

News = Mapping[str, bytes]
"""Each endpoint by its name, as JSON."""


class TooManyListenersError(ParkmeterError):
    """Raised when the most listeners there may be listen to events already."""

    code = "too_many_listeners"
    title = "Too many are listening"
    retry_after = 15

    def __init__(self, most: int, whose: str = "") -> None:
        listening = (
            f"{most} are listening {whose} already"
            if whose
            else f"{most} are listening already, or the gateway stops"
        )
        super().__init__(f"{listening}. Ask GET /endpoints instead, or try again.", most=most)


def feed_of(control: ApiContext) -> Feed[News]:
    """What listeners are told of these endpoints; of one that cannot be shown, nothing."""

    def gathered() -> News:
        news = {}
        for report in control.service.reports():
            name = report.spec.name
            try:
                news[name] = control.shape(report).model_dump_json().encode()
            except Exception:
                log.exception("%s cannot be shown; who listens is told of the others", name)
        return news

    async def gather() -> News:
        return await in_thread(gathered)

    return Feed(gather)


def add_event_routes(app: FastAPI, control: ApiContext, feed: Feed[News]) -> None:
    """Make an application answer it. For one event loop."""
    known_token = token_of(control)

    @app.get(
        "/events",
        tags=["endpoints"],
        responses={200: _DOCUMENTED, **problems(503)},
        response_class=StreamingResponse,
    )
    async def events(request: Request, token: Token = known_token) -> Response:
        """The answer of `GET /endpoints`, sent as an event `endpoints` whenever it changes.

        At once, then on every change (at most five times a second) and every 15 seconds; comments
        keep the connection alive. Who reads slowly misses all but the newest. At most 10 listen
        with one token. Local gateway only.
        """
        if feed.listening(token.id) >= MOST_OF_ONE_TOKEN:
            raise TooManyListenersError(MOST_OF_ONE_TOKEN, "with this token")
        listener = feed.join(MOST_LISTENERS, token.id)
        if listener is None:
            raise TooManyListenersError(MOST_LISTENERS)
        return _Events(control, listener, token, request.headers.get("authorization"))


_DOCUMENTED = {
    "description": "`event: endpoints`, with the JSON of `GET /endpoints` as its data.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


class _Events(Response):
    """The stream of one listener, as long as it listens and its token holds."""

    def __init__(
        self, control: ApiContext, listener: Listener[News], token: Token, header: str | None
    ) -> None:
        super().__init__(
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        del self.headers["content-length"]
        self._control = control
        self._listener = listener
        self._token = token
        self._header = header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See Starlette."""
        gone = asyncio.create_task(self._gone(receive))
        try:
            await self._stream(send)
        except TimeoutError:
            # Nothing more goes to somebody who takes nothing: not even an end.
            abort = scope.get("extensions", {}).get(ABORT)
            if abort is not None:
                abort()
                await gone
        finally:
            self._listener.leave()
            gone.cancel()

    async def _gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._listener.end()

    async def _stream(self, send: Send) -> None:
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        await self._listener.sent(send(start), _STUCK)
        while (left := self._left()) > 0 and not self._listener.over:
            news = await self._listener.news(min(_KEEP_ALIVE, left))
            # Asked again: meanwhile the token may have been revoked.
            if self._left() <= 0 or self._listener.over:
                break
            frame = b": keep-alive\n\n" if news is None else self._event(news)
            body = {"type": "http.response.body", "body": frame, "more_body": True}
            await self._listener.sent(send(body), _STUCK)
        end = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._listener.sent(send(end), _STUCK)

    def _event(self, news: News) -> bytes:
        covered = [shape for name, shape in news.items() if self._token.covers(name)]
        return b'event: endpoints\ndata: {"endpoints":[%b]}\n\n' % b",".join(covered)

    def _left(self) -> float:
        """Seconds that the token holds yet, as far as is known; 0: it was revoked, or expired."""
        now = self._control.now()
        try:
            token = self._control.book.check(self._header, now)
        except TokenRefusedError:
            return 0
        expires_at = token.expires_at or now + timedelta(days=1)
        return (expires_at - now).total_seconds()
