"""Exception handlers: every error in a control route is answered as a problem."""

import logging

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from parkmeter.errors import InvalidRequestError, ParkmeterError
from parkmeter.web.asgi import Scope
from parkmeter.web.dialect import dialect_at
from parkmeter.web.problems import Problem, problem, problem_of

log = logging.getLogger(__name__)


def add_error_handlers(app: FastAPI) -> None:
    """Install handlers for our errors, FastAPI's, Starlette's and unexpected ones."""
    app.add_exception_handler(ParkmeterError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, ParkmeterError)  # noqa: S101 (registered for it)
    return _answer(problem_of(error), request.scope)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (registered for it)
    finding = error.errors()[0]
    field = ".".join(str(part) for part in finding["loc"][1:])
    invalid = InvalidRequestError(f"{field}: {finding['msg']}.", field=field)
    return _answer(problem_of(invalid), request.scope)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for it)
    if error.status_code == 404:  # noqa: PLR2004
        return no_such_route(request.scope)
    code, detail = str(error.detail).lower().replace(" ", "_"), str(error.detail)
    headers = dict(error.headers or {})
    if error.status_code == 405:  # noqa: PLR2004
        headers["Allow"] = ", ".join(sorted(_allowed(request)))
        detail = f"{request.scope['path']} takes {headers['Allow']}, not {request.method}."
    found = problem(error.status_code, code, str(error.detail), detail, headers=headers)
    return _answer(found, request.scope)


_BELOW_V1 = (
    *("audio", "batches", "chat", "completions", "embeddings", "files", "images", "messages"),
    *("models", "moderations", "rerank", "responses", "score"),
)
"""First segments of what stands below `/v1`: asked for without it, by a wrong base URL."""


def no_such_route(scope: Scope) -> Response:
    """Return the 404 for a path without a route."""
    hint = _base_url_hint(scope["path"].removeprefix(scope.get("root_path", "")))
    detail = f"There is no {scope['method']} {scope['path']}. {hint}All routes: GET /docs."
    return _answer(problem(404, "not_found", "Not Found", detail), scope)


def _base_url_hint(path: str) -> str:
    """Return what a client of a model API has to change, if the path looks like one's."""
    first, _, rest = path[1:].partition("/")
    if first == "v1" and rest.partition("/")[0] == "v1":
        return "This client adds /v1 itself: leave it out of its base URL. "
    if first == "v1":
        return "As a base URL it is right; GET /v1/models lists the models. "
    if first in _BELOW_V1:
        return "Let the client's base URL end in /v1. "
    return ""


def _allowed(request: Request) -> set[str]:
    """Return the methods of every route on this path; Starlette names only the first route's."""
    methods: set[str] = set()
    for route in request.app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return methods | ({"HEAD"} if "GET" in methods else set())


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    return _answer(problem_of(ParkmeterError("")), request.scope)


def _answer(found: Problem, scope: Scope) -> Response:
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    found = found.in_dialect(dialect_at(path.encode()))
    return Response(found.body, found.status, found.headers)
