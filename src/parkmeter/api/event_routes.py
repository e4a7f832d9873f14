"""`GET /events`: changes of the endpoints as server-sent events. Local gateway only.

The token is sent in the header as everywhere, never in the URL, so browsers read the stream with
`fetch`. The stream ends when the token expires or is revoked.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from parkmeter.api.dependencies import ApiContext, token_of
from parkmeter.api.feed import Feed, Subscription
from parkmeter.api.schemas import problems
from parkmeter.core.tokens import Token
from parkmeter.errors import ParkmeterError, TokenRefusedError
from parkmeter.web.asgi import ABORT, Receive, Scope, Send

log = logging.getLogger(__name__)

MAX_SUBSCRIPTIONS = 100
"""Each keeps a connection open; a page in every browser of a team is far fewer."""

MAX_PER_TOKEN = 10
"""Keeps one token from using up the subscriptions of all others."""

_KEEP_ALIVE = 5.0
"""Seconds of silence after which a comment is sent, so that a lost connection is noticed."""

_STUCK = 20.0
"""Seconds that a client may read nothing while something is to be sent."""


class Snapshot:
    """The JSON of each endpoint by its name, and the events made of it.

    Listeners that may see the same get the same event: it is put together once for all of them.
    """

    def __init__(self, shapes: Mapping[str, bytes]) -> None:
        self._shapes = shapes
        self._events: dict[frozenset[str] | None, bytes] = {}

    def __iter__(self) -> Iterator[str]:
        """Return the names of its endpoints."""
        return iter(self._shapes)

    def event(self, token: Token) -> bytes:
        """Return the event for a token."""
        found = self._events.get(token.endpoints)
        if found is None:
            covered = [shape for name, shape in self._shapes.items() if token.covers(name)]
            found = b'event: endpoints\ndata: {"endpoints":[%b]}\n\n' % b",".join(covered)
            self._events[token.endpoints] = found
        return found


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


def feed_of(context: ApiContext) -> Feed[Snapshot]:
    """Return the feed of these endpoints; it leaves out one that cannot be shown."""

    def snapshot() -> Snapshot:
        shapes = {}
        for report in context.service.reports():
            name = report.spec.name
            try:
                shapes[name] = context.endpoints.text(report)
            except Exception:
                log.exception("%s cannot be shown; /events has the others", name)
        return Snapshot(shapes)

    async def gather() -> Snapshot:
        return await context.lanes.feed.run("", snapshot)

    return Feed(gather)


def add_event_routes(app: FastAPI, context: ApiContext, feed: Feed[Snapshot]) -> None:
    """Add the route to an application. For one event loop."""
    known_token = token_of(context)

    @app.get(
        "/events",
        tags=["endpoints"],
        responses={200: _DOCUMENTED, **problems(503)},
        response_class=StreamingResponse,
    )
    async def follow_events(request: Request, token: Token = known_token) -> Response:
        """Stream the answer of `GET /endpoints` as an event `endpoints` whenever it changes.

        At once, then on every change (at most five times a second) and every 15 seconds; comments
        keep the connection alive. A slow reader gets only the newest. At most 10 streams for one
        token. Local gateway only.
        """
        if feed.count(token.id) >= MAX_PER_TOKEN:
            raise TooManyListenersError(MAX_PER_TOKEN, "with this token")
        subscription = feed.subscribe(MAX_SUBSCRIPTIONS, token.id)
        if subscription is None:
            raise TooManyListenersError(MAX_SUBSCRIPTIONS)
        return _EventStream(context, subscription, token, context.credential(request))


_DOCUMENTED = {
    "description": "`event: endpoints` with the JSON of `GET /endpoints` as data.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


class _EventStream(Response):
    """One subscriber's stream; ends with the connection, the token, or the feed."""

    def __init__(
        self,
        context: ApiContext,
        subscription: Subscription[Snapshot],
        token: Token,
        header: str | None,
    ) -> None:
        super().__init__(
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        del self.headers["content-length"]
        self._context = context
        self._subscription = subscription
        self._token = token
        self._header = header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See Starlette."""
        disconnect = asyncio.create_task(self._wait_for_disconnect(receive))
        try:
            await self._stream(send)
        except TimeoutError:
            # The client reads nothing, so it cannot be sent an end either.
            abort = scope.get("extensions", {}).get(ABORT)
            if abort is not None:
                abort()
                await disconnect
        finally:
            self._subscription.cancel()
            disconnect.cancel()

    async def _wait_for_disconnect(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._subscription.end()

    async def _stream(self, send: Send) -> None:
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        await self._subscription.sent(send(start), _STUCK)
        while (left := self._left()) > 0 and not self._subscription.ended:
            snapshot = await self._subscription.next(min(_KEEP_ALIVE, left))
            # Checked again: the token may have been revoked during the wait.
            if self._left() <= 0 or self._subscription.ended:
                break
            frame = b": keep-alive\n\n" if snapshot is None else snapshot.event(self._token)
            body = {"type": "http.response.body", "body": frame, "more_body": True}
            await self._subscription.sent(send(body), _STUCK)
        end = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._subscription.sent(send(end), _STUCK)

    def _left(self) -> float:
        """Return the seconds until the token expires, at most a day; 0 if it is no longer valid."""
        now = self._context.now()
        try:
            token = self._context.book.check(self._header, now)
        except TokenRefusedError:
            return 0
        expires_at = token.expires_at or now + timedelta(days=1)
        return (expires_at - now).total_seconds()
