"""Routes of async prompts, `/{api_resource}-async`: send now, fetch the result later. AWS only.

Translates between HTTP and `prompts`; knows neither S3 nor SageMaker.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Request, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from parkmeter.api.app import JsonLine
from parkmeter.api.dependencies import ApiContext, IdempotencyKey, token_of
from parkmeter.api.openapi import PROMPT_EXAMPLE
from parkmeter.api.request_body import idempotency_key
from parkmeter.api.schemas import problems
from parkmeter.aws.api_events import headers_of, prompt_in
from parkmeter.aws.async_inference.prompts import AsyncPrompts
from parkmeter.aws.definitions import Definition, Queue
from parkmeter.aws.prompt import route_of
from parkmeter.aws.prompt_routes import response_of
from parkmeter.core.meter import Meter, is_open
from parkmeter.core.status import View
from parkmeter.core.tokens import Scope, Token, require
from parkmeter.web import refusals
from parkmeter.web.headers import base_of

RETRY_AFTER_SECONDS = 5

Resource = Annotated[str, Path(description="The endpoint's api_resource.", examples=["flan"])]

_ID = "5d41402abc4b2a76b9719d911017c592"


class AsyncPrompt(BaseModel):
    """A queued prompt."""

    id: str = Field(examples=[_ID])
    status: Literal["running"]
    url: str = Field(
        description="Address of the result.", examples=[f"https://…/prod/flan-async/{_ID}"]
    )


_TAKES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {}, "example": PROMPT_EXAMPLE}},
    }
}
_NOT_THERE: dict[int | str, dict[str, Any]] = {
    404: problems(404)[404] | {"description": "Unknown, expired or not deployed."}
}
_RESULT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The model's own result, with its content type.",
        "content": {"application/json": {"example": {"generated_texts": ["…"]}}},
    },
    202: {"model": AsyncPrompt, "description": "Not finished; `Retry-After` says when to retry."},
    303: {"description": "The result exceeds 4 MB: fetch it from `Location`, without a token."},
    **_NOT_THERE,
    **problems(502, 504),
}
_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"description": "Queued; `Location` is the address of the result."},
    **_NOT_THERE,
    **problems(400, 402, 409, 413, 502, 503),
}


def add_async_routes(
    app: FastAPI,
    control: ApiContext,
    definitions: Mapping[str, Definition],
    meter: Callable[[str], Meter],
    prompts: Callable[[], AsyncPrompts],
) -> None:
    """Add the routes for these endpoints; `meter` reads a meter."""
    known_token = token_of(control)
    queues = {one.api_resource: one.queue for one in definitions.values() if one.queue}

    def queue_of(resource: str, token: Token) -> Queue:
        if resource not in queues:
            raise HTTPException(404)
        require(token, Scope.INVOKE, queues[resource].name)
        return queues[resource]

    def require_time(queue: Queue, request: Request, token: Token) -> None:
        """Raise MeterClosedError if a closed meter leaves this queue without an instance."""
        if queue.metered_instances is None:
            return
        seen, now = meter(queue.name), control.now()
        if not is_open(seen, now):
            route = route_of(definitions[queue.name], seen)
            raise refusals.meter_closed(
                route,
                View.of(seen, now),
                base_of(request.scope),
                may_top_up=token.may(Scope.TOP_UP, queue.name),
            )

    def running(request: Request, resource: str, prompt_id: str) -> dict[str, str]:
        url = f"{base_of(request.scope)}/{resource}-async/{prompt_id}"
        return AsyncPrompt(id=prompt_id, status="running", url=url).model_dump()

    @app.post(
        "/{api_resource}-async",
        tags=["prompts"],
        status_code=202,
        response_model=AsyncPrompt,
        responses=_ACCEPTED,
        openapi_extra=_TAKES,
    )
    def async_prompt(
        api_resource: Resource,
        request: Request,
        token: Token = known_token,
        key: IdempotencyKey = None,
    ) -> Response:
        """Send a prompt whose answer may take longer than 27 seconds, up to an hour.

        Body and content type reach the model unchanged, up to 4 MB. Needs no open meter, unless
        the endpoint is `async_metered`: the async endpoint scales to zero a while after its queue
        is empty, and takes some minutes to start.
        With an `Idempotency-Key`, a repeated request gets the same answer and runs once.
        """
        queue = queue_of(api_resource, token)
        require_time(queue, request, token)
        event = request.scope["aws.event"]
        prompt = prompt_in(event, headers_of(event))
        wanted = idempotency_key(key)
        claimed = prompts().accept(queue, prompt, (token.id, wanted) if wanted else None)
        document = running(request, api_resource, claimed.prompt_id)
        replayed = {} if claimed.ours else {"Idempotency-Replayed": "true"}
        return JsonLine(document, 202, {"Location": document["url"], **replayed})

    @app.get("/{api_resource}-async/{id}", tags=["prompts"], responses=_RESULT)
    def async_result(
        api_resource: Resource,
        prompt_id: Annotated[str, Path(alias="id", description="From the prompt's answer.")],
        request: Request,
        token: Token = known_token,
    ) -> Response:
        """Return the result of an async prompt.

        The model's own errors keep their status and text where SageMaker kept them; parkmeter's
        errors are problems. Prompts and results expire after some days.
        """
        answer = prompts().result(queue_of(api_resource, token), prompt_id)
        if answer is not None:
            return response_of(answer)
        document = running(request, api_resource, prompt_id)
        return JsonLine(document, 202, {"Retry-After": str(RETRY_AFTER_SECONDS)})
