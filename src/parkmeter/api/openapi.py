"""Additions to the OpenAPI document that FastAPI generates: problems, and the routes for prompts.

The data plane is not a FastAPI app, so its routes are described here by hand.
"""

from typing import Any

from fastapi import FastAPI

from parkmeter.api.schemas import Problem, problems

_REFERENCE = "#/components/schemas/"

PROMPT_EXAMPLE = {
    "text_inputs": "write a story about beautiful weather on a tropical island.",
    "max_length": 50,
    "temperature": 0.0,
    "seed": 321,
}

_PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=N`: while the endpoint is not serving yet, hold the request for up to N "
    "seconds instead of answering 503 at once.",
    "schema": {"type": "string"},
    "examples": {"wait": {"value": "wait=60"}},
}
_PREFER_ON_AWS = {
    **_PREFER,
    "description": f"{_PREFER['description']} At most 20.",
    "examples": {"wait": {"value": "wait=20"}},
}

_STREAMED = (
    "Send a prompt to the model. Body and answer are the model server's own, unchanged and "
    "streamed; `Parkmeter-Seconds-Left` and `Parkmeter-Expires-At` are added.\n\n"
    "`/{api_resource}/{path}` reaches every other path of the server with any method, so that "
    "an OpenAI client works with `base_url=…/{api_resource}/v1`."
)
_WHOLE = (
    "Send a prompt to the model. Body and answer are the model's own, unchanged, up to 4 MB each; "
    "`Parkmeter-Seconds-Left` and `Parkmeter-Expires-At` are added.\n\n"
    "The model has 27 seconds; send longer prompts to `/{api_resource}-async`."
)


def complete_document(app: FastAPI, *, whole_servers: bool) -> None:
    """Make `app.openapi()` return the complete document; for `whole_servers` see `ApiContext`."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(generate(), whole_servers)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(document: dict[str, Any], whole_servers: bool) -> dict[str, Any]:  # noqa: FBT001
    schemas = document["components"]["schemas"]
    _add_schema(schemas, Problem.model_json_schema(ref_template=_REFERENCE + "{model}"))
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path in document["paths"].values():
        for operation in path.values():
            _describe_our_answers(operation)
            if body := operation.get("requestBody"):
                media = body["content"]["application/json"]
                if "title" in media["schema"]:
                    media["schema"] = _add_schema(schemas, media["schema"])
    # `/openapi.json` names the server it was loaded from instead.
    document["servers"] = [{"url": "http://127.0.0.1:8080/prod"}]
    headers = [_PREFER if whole_servers else _PREFER_ON_AWS]
    by_name = _prompt(
        "Send a prompt by the endpoint's name; otherwise the same.", "name", "flan-t5", headers
    )
    document["paths"]["/endpoints/{name}/invocations"] = {"post": by_name}
    about = _STREAMED if whole_servers else _WHOLE
    by_resource = _prompt(about, "api_resource", "flan", headers)
    document["paths"]["/{api_resource}"] = {"post": by_resource}
    return document


def _add_schema(schemas: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Move a schema and its definitions among the document's; return the reference to it."""
    schemas |= schema.pop("$defs", {})
    schemas[schema["title"]] = schema
    return {"$ref": _REFERENCE + schema["title"]}


def _describe_our_answers(operation: dict[str, Any]) -> None:
    """Replace FastAPI's default answers by those of these routes."""
    for answer in operation["responses"].values():
        if answer.get("description") == "Successful Response":
            answer["description"] = "Done."
    if "security" not in operation:
        for unused in ("401", "403"):
            operation["responses"].pop(unused, None)
    # FastAPI documents its own 422 for bad parameters; here that is a problem with status 400.
    content = operation["responses"].get("422", {}).get("content", {})
    if content.pop("application/json", None) is None:
        return
    if not content:
        del operation["responses"]["422"]
    for status, answer in problems(400).items():
        operation["responses"].setdefault(str(status), answer)


_REFUSALS = (400, 401, 402, 403, 404, 408, 410, 413, 429, 502, 503, 504)


def _prompt(
    description: str, parameter: str, example: str, headers: list[dict[str, Any]]
) -> dict[str, Any]:
    answers: dict[Any, Any] = {
        "200": {
            "description": "The model's answer.",
            "content": {
                "application/json": {"example": {"generated_texts": ["…"]}},
                "*/*": {},
            },
        },
        **{str(status): answer for status, answer in problems(*_REFUSALS).items()},
    }
    return {
        "tags": ["prompts"],
        "summary": "Prompt",
        "description": description,
        "operationId": f"prompt_by_{parameter}",
        "security": [{"token": []}],
        "parameters": [
            {
                "name": parameter,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "examples": [example]},
                "examples": {"default": {"value": example}},
            },
            *headers,
        ],
        "requestBody": {
            "required": False,
            "content": {
                "application/json": {"schema": {}, "example": PROMPT_EXAMPLE},
                "*/*": {"schema": {}},
            },
        },
        "responses": answers,
    }
