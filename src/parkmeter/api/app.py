"""The control routes: status, top-up, eject, journal, receipt, the ancestor's `/endpoint-expiry`.

Routes only translate: HTTP to a use case, its answer to a shape. Rules live in the core, errors
become answers in `problems`. Runs locally and on AWS; knows no adapter.
"""

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.concurrency import run_in_threadpool as in_thread

from parkmeter._version import __version__
from parkmeter.api.dashboard_routes import add_dashboard_routes
from parkmeter.api.dependencies import ApiContext, IdempotencyKey, Name, may_see, token_of
from parkmeter.api.docs_page import HEADERS as DOCS_HEADERS
from parkmeter.api.docs_page import docs_page
from parkmeter.api.error_handlers import answer_errors
from parkmeter.api.head_middleware import Headless
from parkmeter.api.history_routes import add_history_routes
from parkmeter.api.openapi import complete_document
from parkmeter.api.request_body import idempotency_key, parsed, read_json, takes
from parkmeter.api.schemas import (
    Changed,
    Eject,
    Endpoint,
    Endpoints,
    Health,
    SeedTopUp,
    TopUp,
    WhoAmI,
    problems,
)
from parkmeter.core.tokens import Scope, Token
from parkmeter.errors import ClockStoppedError, InvalidRequestError
from parkmeter.service.changes import Actor, ChangeResult
from parkmeter.web.auth import require
from parkmeter.web.legacy_expiry import seed_answer, seed_view

_ABOUT = """
An endpoint lives only while its meter holds time. Top it up, look at it, end it; prompts go to
`POST /{api_resource}` and reach the model while the meter is open.

`/endpoint-expiry` keeps the contract of the AWS sample that parkmeter grew from, with its time
format (UTC) and the trailing blank in `EndpointExpiry `.

Send your token as `Authorization: <token>` or `Authorization: Bearer <token>`. All times are UTC.
A top-up or an eject that is sent again with the same `Idempotency-Key` is done once and answered
alike, with `Idempotency-Replayed: true`. Errors are RFC 9457 problems with a stable `code`.
"""


def control_app(control: ApiContext) -> FastAPI:
    """The control routes as an ASGI app; without lifespan, so that Lambda can serve it too."""
    app = FastAPI(
        title="parkmeter",
        version=__version__,
        summary="A parking meter for model endpoints.",
        description=_ABOUT,
        default_response_class=Line,
        docs_url=None,
        redoc_url=None,
        responses=problems(401, 403),
    )
    _endpoint_routes(app, control)
    _seed_routes(app, control)
    add_history_routes(app, control)
    _house_routes(app, control)
    add_dashboard_routes(app)
    answer_errors(app)
    app.add_middleware(Headless)
    complete_document(app, whole_servers=control.whole_servers)
    return app


class Line(JSONResponse):
    """JSON that ends with a newline: people read it at a shell."""

    def render(self, content: Any) -> bytes:
        """See Starlette."""
        return super().render(content) + b"\n"


# ── What every route needs ──────────────────────────────────────────────────────────────────────


def actor_of(token: Token) -> Actor:
    """Whoever holds a token, as the use cases know them."""
    return Actor(token.id, token.name, token.minutes_per_day)


def _replayed(answer: ChangeResult, response: Response) -> None:
    if answer.replayed:
        response.headers["Idempotency-Replayed"] = "true"


# ── Routes ──────────────────────────────────────────────────────────────────────────────────────


def _house_routes(app: FastAPI, control: ApiContext) -> None:
    known_token = token_of(control)

    @app.get("/health", tags=["gateway"], responses=problems(503))
    async def health() -> Health:
        """Whether the gateway answers and its clock goes round. Needs no token."""
        if not control.alive():
            raise ClockStoppedError
        return Health(status="ok", version=__version__)

    @app.get("/whoami", tags=["gateway"])
    def who_am_i(token: Token = known_token) -> WhoAmI:
        """Whose token this is, and what it may do."""
        return WhoAmI.of(token, events=control.whole_servers)

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        base_url = str(request.base_url).rstrip("/")
        return HTMLResponse(docs_page(app.openapi(), base_url), headers=DOCS_HEADERS)


def _endpoint_routes(app: FastAPI, control: ApiContext) -> None:
    service, known_token = control.service, token_of(control)

    @app.get("/endpoints", tags=["endpoints"])
    def endpoints(token: Token = known_token) -> Endpoints:
        """How all endpoints are doing: status, time left, price."""
        return Endpoints(
            endpoints=[
                control.shape(report)
                for report in service.reports()
                if token.covers(report.spec.name)
            ]
        )

    @app.get("/endpoints/{name}", tags=["endpoints"], responses=problems(404))
    def endpoint(name: Name, token: Token = known_token) -> Endpoint:
        """How one endpoint is doing."""
        may_see(token, name)
        return control.shape(service.report(name))

    @app.post(
        "/endpoints/{name}/top-ups",
        tags=["endpoints"],
        status_code=201,
        responses=problems(400, 404, 408, 409, 410, 413, 422, 429, 503),
        openapi_extra=takes(TopUp),
    )
    async def top_up(
        name: Name,
        request: Request,
        response: Response,
        token: Token = known_token,
        key: IdempotencyKey = None,
    ) -> Changed:
        """Add minutes, or as many as dollars buy.

        A closed meter counts from now, an open one from its expiry.
        Never starts anything itself: the endpoint follows its meter within moments.
        """
        require(token, Scope.TOP_UP, name)
        wanted = parsed(TopUp, await read_json(request))
        answer = await in_thread(
            service.top_up, name, wanted.amount(), actor_of(token), idempotency_key(key)
        )
        _replayed(answer, response)
        return Changed.of(answer.entry)

    @app.post(
        "/endpoints/{name}/eject",
        tags=["endpoints"],
        responses=problems(400, 404, 408, 409, 413, 503),
        openapi_extra=takes(Eject),
    )
    async def eject(
        name: Name,
        request: Request,
        response: Response,
        token: Token = known_token,
        key: IdempotencyKey = None,
    ) -> Changed:
        """End it now: the remaining time is given up.

        Requests in flight still get their drain. With `expires_at` as you saw it, nothing is
        ejected if somebody topped up meanwhile.
        """
        require(token, Scope.ADMIN, name)
        document = await read_json(request)
        wanted = Eject() if document is None else parsed(Eject, document)
        answer = await in_thread(
            service.eject, name, actor_of(token), idempotency_key(key), wanted.expires_at
        )
        _replayed(answer, response)
        return Changed.of(answer.entry)


def _seed_routes(app: FastAPI, control: ApiContext) -> None:
    service, known_token = control.service, token_of(control)
    one = {
        "EndpointName": "flan-t5",
        "EndpointExpiry ": "22-06-2023-08-24-12",
        "EndpointExpiry": "22-06-2023-08-24-12",
        "TimeLeft": "0:00:10.211300",
        "Status": "running",
    }
    documented: dict[int | str, dict[str, Any]] = {
        200: {
            "description": "With one endpoint an object, with several a list.",
            "content": {"application/json": {"example": one}},
        },
        **problems(404),
    }

    @app.get("/endpoint-expiry", tags=["endpoint-expiry"], responses=documented)
    def endpoint_expiry(
        token: Token = known_token,
        name: Annotated[
            str | None, Query(alias="EndpointName", description="Picks one of several.")
        ] = None,
    ) -> Any:
        """Until when each endpoint lives, in the words of the AWS sample."""
        if name is not None:
            may_see(token, name)
            return seed_view(service.report(name))
        if len(service.names) == 1 and token.covers(service.names[0]):
            return seed_view(service.report(service.names[0]))
        return [seed_view(report) for report in service.reports() if token.covers(report.spec.name)]

    @app.post(
        "/endpoint-expiry",
        tags=["endpoint-expiry"],
        responses={**documented, **problems(400, 408, 409, 410, 413, 422, 429, 503)},
        openapi_extra=takes(SeedTopUp),
    )
    async def extend(
        request: Request,
        response: Response,
        token: Token = known_token,
        key: IdempotencyKey = None,
    ) -> Any:
        """Add minutes, as the AWS sample did; with several endpoints also `EndpointName`."""
        require(token, Scope.TOP_UP)
        wanted = parsed(SeedTopUp, await read_json(request))
        name = wanted.endpoint_name
        if name is None:
            known = [name for name in service.names if token.covers(name)]
            if len(service.names) != 1:
                raise InvalidRequestError(
                    f"Say which endpoint by EndpointName: {', '.join(known)}.",
                    field="EndpointName",
                )
            name = service.names[0]
        require(token, Scope.TOP_UP, name)
        answer = await in_thread(
            service.top_up, name, wanted.amount(), actor_of(token), idempotency_key(key)
        )
        _replayed(answer, response)
        return seed_answer(answer.entry)
