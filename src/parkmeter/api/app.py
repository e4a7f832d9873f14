"""The control routes as one FastAPI application. Runs locally and on AWS; knows no adapter.

Routes only translate: HTTP to a use case, its result to a schema. The rules are in the core; errors
become problems in `error_handlers`.
"""

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from parkmeter._version import __version__
from parkmeter.api.dashboard_routes import add_dashboard_routes
from parkmeter.api.dependencies import ApiContext, token_of
from parkmeter.api.docs_page import add_docs_routes
from parkmeter.api.endpoint_routes import add_endpoint_routes
from parkmeter.api.error_handlers import add_error_handlers, no_such_route
from parkmeter.api.health_errors import ClockStoppedError, UnhealthyError
from parkmeter.api.history_routes import add_history_routes
from parkmeter.api.legacy_routes import add_legacy_routes
from parkmeter.api.openapi import complete_document
from parkmeter.api.schemas import Health, problems
from parkmeter.api.token_schemas import WhoAmI
from parkmeter.api.usage_routes import add_usage_routes
from parkmeter.core.tokens import Token, require_administrator
from parkmeter.web.asgi import Application, Message, Receive, Scope, Send

_ABOUT = """
An endpoint runs only while its meter holds time. These routes show it, top it up and eject it.
Prompts go to `POST /{api_resource}` and reach the model while the meter is open.

`/endpoint-expiry` keeps the contract of the AWS sample that parkmeter began as, with its time
format (UTC) and the trailing blank in `EndpointExpiry `.

Send your token as `Authorization: <token>` or `Authorization: Bearer <token>`. All times are UTC.
A top-up or an eject repeated with the same `Idempotency-Key` is done once and gets the first
answer, with `Idempotency-Replayed: true`. Errors are RFC 9457 problems with a stable `code`.
"""


Verbose = Annotated[str | None, Query(description="Add the figures; needs `admin`.")]


def control_app(context: ApiContext) -> FastAPI:
    """Return the control routes as an ASGI app; without lifespan, so that Lambda can serve it."""
    app = FastAPI(
        title="parkmeter",
        version=__version__,
        summary="A parking meter for model endpoints.",
        description=_ABOUT,
        default_response_class=JsonLine,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        responses=problems(401, 403),
        generate_unique_id_function=_operation_id,
    )
    add_endpoint_routes(app, context)
    add_legacy_routes(app, context)
    add_history_routes(app, context)
    add_usage_routes(app, context)
    _add_gateway_routes(app, context)
    add_docs_routes(app, context)
    add_dashboard_routes(app)
    add_error_handlers(app)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(LineFeedMiddleware)
    complete_document(app, whole_servers=context.whole_servers)
    return app


def _operation_id(route: APIRoute) -> str:
    """Return the name of a route's function, which generated clients call their method."""
    return route.name


class JsonLine(JSONResponse):
    """JSON that ends with a newline, for people at a shell."""

    def render(self, content: Any) -> bytes:
        """See Starlette."""
        return super().render(content) + b"\n"


class HeadMiddleware:
    """HEAD on every route that takes GET, for the uptime monitors that use it."""

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
                # Ended at once, or a stream would go on unread.
                await send({"type": "http.response.body", "body": b""})

        await self._app({**scope, "method": "GET"}, receive, head_only)


class LineFeedMiddleware:
    """404 for a path with a line feed at its end, which the router takes for one without it."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        found = scope["type"] != "http" or not scope["path"].endswith("\n")
        await (self._app if found else no_such_route(scope))(scope, receive, send)


def _add_gateway_routes(app: FastAPI, context: ApiContext) -> None:
    known_token = token_of(context)
    known = known_token.dependency

    @app.get("/health", tags=["gateway"], responses=problems(503), response_model_exclude_none=True)
    async def get_health(request: Request, verbose: Verbose = None) -> Health:
        """Return 200 if the gateway can do its work, 503 with `reasons` if not. Needs no token.

        `?verbose` adds the figures, for a token with `admin` for all endpoints.
        """
        figures = None
        if verbose is not None:
            require_administrator(await known(request))
            figures = dict(context.figures())
        faults = dict(context.faults())
        if (fault := context.fault()) is not None:
            faults = {fault.code: fault.detail, **faults}
        shown: dict[str, Any] = {} if figures is None else {"figures": figures}
        if not context.alive():
            raise ClockStoppedError(None, reasons=["clock_stopped", *faults], **shown)
        if faults:
            raise UnhealthyError(faults, **shown)
        return Health(status="ok", version=__version__, figures=figures)

    @app.get("/whoami", tags=["gateway"])
    async def who_am_i(token: Token = known_token) -> WhoAmI:
        """Return the name and the rights of this token."""
        return WhoAmI.of(token, events=context.whole_servers)
