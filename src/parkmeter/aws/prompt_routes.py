"""Prompt routes of control: prompts by the endpoint's name, and paths that AWS cannot serve.

API Gateway sends `POST /{api_resource}` to the endpoint's own function and everything else here.
Answers come from the same `prompt.Inference`. The routes are not in the OpenAPI schema by
themselves: `api.openapi` describes prompts.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request, Response

from parkmeter.api.dependencies import ApiContext, actor_of, token_of
from parkmeter.aws.api_events import Answer
from parkmeter.aws.definitions import Definition
from parkmeter.aws.prompt import Inference, route_of
from parkmeter.core.meter import Meter
from parkmeter.core.tokens import Scope, Token, require
from parkmeter.errors import ParkmeterError, UnknownEndpointError
from parkmeter.web.headers import base_of

_ANY_METHOD = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]


class PathNotServedError(ParkmeterError):
    """Raised where a model is reached by prompts only, and another path was asked for."""

    code = "path_not_served"
    title = "No such path at this model"


def add_prompt_routes(  # noqa: PLR0913, PLR0917 (the dependencies of prompts)
    app: FastAPI,
    control: ApiContext,
    definitions: Mapping[str, Definition],
    meter: Callable[[str], Meter],
    runtime: Callable[[], Any],
    used: Callable[[str], Callable[[datetime], None]] = lambda _name: lambda _now: None,
) -> None:
    """Add the routes. `meter` reads a meter; `runtime` returns SageMaker's client.

    `used` returns a function that notes a use, for endpoints that are ejected when idle.
    """
    known_token = token_of(control)

    def answer_to(name: str, event: Mapping[str, Any], now: Callable[[], datetime]) -> Response:
        one = definitions[name]
        model = Inference(
            name,
            lambda: meter(name),
            lambda seen: route_of(one, seen),
            runtime(),
            now,
            lambda token, _event: wake(name, token),
        )
        if one.spec.idle is not None:
            model = replace(model, used=used(name))
        return response_of(model.answer(event))

    def wake(name: str, token: Token) -> None:
        control.service.wake(name, actor_of(token))

    @app.post("/endpoints/{name}/invocations", include_in_schema=False)
    def prompt(name: str, request: Request, token: Token = known_token) -> Response:
        """Send a prompt, as with `POST /{api_resource}`."""
        require(token, Scope.INVOKE, name)
        if name not in definitions:
            raise UnknownEndpointError(name, definitions)
        return answer_to(name, request.scope["aws.event"], control.now)

    def add(name: str, resource: str) -> None:
        # API Gateway sends this one to another function; it makes a 405 of other methods name POST.
        @app.post(f"/{resource}", include_in_schema=False)
        def by_resource(request: Request, token: Token = known_token) -> Response:
            require(token, Scope.INVOKE, name)
            return answer_to(name, request.scope["aws.event"], control.now)

        @app.api_route(f"/{resource}/{{path:path}}", methods=_ANY_METHOD, include_in_schema=False)
        def below(request: Request, token: Token = known_token) -> Response:
            require(token, Scope.INVOKE, name)
            raise PathNotServedError(
                f"SageMaker forwards prompts only, so {request.url.path} is not served here. Send "
                f"prompts with POST {base_of(request.scope)}/{resource}."
            )

    for name, one in definitions.items():
        add(name, one.api_resource)

    @app.get("/events", include_in_schema=False)
    def events(_: Token = known_token) -> Response:
        raise PathNotServedError(
            "API Gateway cannot stream, so events cannot be followed here. Poll GET /endpoints."
        )


def response_of(answer: Answer) -> Response:
    """Convert an answer in API Gateway's format to the web framework's response."""
    body = base64.b64decode(answer["body"])
    return Response(body, answer["statusCode"], answer["headers"])
