"""The front of the control routes: the stage, the date, pages of other origins, redirects."""

from email.utils import formatdate

from parkmeter.proxy.edge import Edge
from parkmeter.web.asgi import Application, Message, Receive, Scope, Send
from parkmeter.web.cross_origin import NO_ORIGINS
from parkmeter.web.headers import base_of
from parkmeter.web.public_address import public_base
from parkmeter.web.refusals import origin_not_allowed
from parkmeter.web.stage import locate


class Front:
    """The ASGI application: the control routes, with and without the stage; answers are dated."""

    def __init__(self, control: Application, edge: Edge) -> None:
        self._control = control
        self._edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if stage := locate(scope["raw_path"]).stage:
            scope["root_path"] = stage
        rule, named, method = self._edge.cross_origin, dict(scope["headers"]), scope["method"]
        preflight = rule.preflight(method, named) if rule is not None else None

        async def completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                fields = [(b"date", formatdate(usegmt=True).encode())]
                if rule is not None and preflight is None:
                    fields += rule.fields(named)
                message["headers"] = [self._redirected(scope, *one) for one in message["headers"]]
                message["headers"] += fields
            await send(message)

        status, headers, body = 204, preflight, b""
        if headers is None:
            if not (rule or NO_ORIGINS).answers(method, named):
                await self._control(scope, receive, completed)
                return
            problem = origin_not_allowed().problem
            status, body = problem.status, problem.body
            headers = [
                (name.lower().encode(), one.encode()) for name, one in problem.headers.items()
            ]
        await completed({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _redirected(self, scope: Scope, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        """Return a header; the router's redirects lead to the address that clients know."""
        if name == b"location" and value.startswith(called := base_of(scope).encode()):
            value = public_base(scope, self._edge.public).encode() + value[len(called) :]
        return name, value
