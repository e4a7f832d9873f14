"""HEAD, answered as GET is, without a body: whoever watches a service likes to ask this way."""

from parkmeter.web.asgi import Application, Message, Receive, Scope, Send


class Headless:
    """An application in which every route that takes GET takes HEAD too."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def head_only(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                # The end at once, or a stream would go on without anybody who hears it.
                await send({"type": "http.response.body", "body": b""})

        await self._app({**scope, "method": "GET"}, receive, head_only)
