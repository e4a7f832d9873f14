"""API Gateway's own errors, said as the handlers say theirs: problem+json with a stable code.

What a handler answers passes untouched; this is for requests that reach none. Knows the words of
`parkmeter.errors`, so that a program sees one code for one cause.
"""

import json
from dataclasses import dataclass
from http import HTTPStatus

from aws_cdk import aws_apigateway

from parkmeter import errors
from parkmeter.web.problems import CONTENT_TYPE, type_of

_Type = aws_apigateway.ResponseType


@dataclass(frozen=True, slots=True)
class _Said:
    kind: aws_apigateway.ResponseType
    status: int
    code: str
    title: str
    detail: str


def _responses() -> list[_Said]:
    return [
        _Said(
            _Type.UNAUTHORIZED,
            401,
            errors.TokenMissingError.code,
            errors.TokenMissingError.title,
            "Send your token in the Authorization header.",
        ),
        _Said(
            _Type.ACCESS_DENIED,
            403,
            errors.TokenRefusedError.code,
            errors.TokenRefusedError.title,
            "The token is unknown, expired, or revoked. One that was added after it had been tried "
            "is known within a minute.",
        ),
        _Said(
            # What API Gateway says of a path or method that is not there.
            _Type.MISSING_AUTHENTICATION_TOKEN,
            404,
            "not_found",
            "Not found",
            "There is nothing at this path for this method; /docs lists what there is.",
        ),
        _Said(
            _Type.REQUEST_TOO_LARGE,
            413,
            errors.TooLargeError.code,
            errors.TooLargeError.title,
            "The body may have at most 10 MB here, and a prompt 4 MB.",
        ),
        _Said(
            _Type.THROTTLED,
            429,
            "too_many_requests",
            "Too many requests",
            "The API takes fewer requests a second than this; wait a moment.",
        ),
        _Said(
            # The authorizer failed, so nothing is known of the token: no refusal, and not cached.
            _Type.AUTHORIZER_FAILURE,
            500,
            "internal",
            "Internal error",
            "The token could not be looked up; try again.",
        ),
        _Said(
            _Type.INTEGRATION_TIMEOUT,
            504,
            errors.UpstreamTimeoutError.code,
            errors.UpstreamTimeoutError.title,
            "No answer within 29 seconds. Longer ones go through the endpoint's -async path.",
        ),
        _Said(
            _Type.INTEGRATION_FAILURE,
            502,
            errors.UpstreamError.code,
            errors.UpstreamError.title,
            "The function behind this path could not be reached.",
        ),
    ]


def speak_problems(api: aws_apigateway.RestApi) -> None:
    """Give an API its words for every error that it makes by itself."""
    for said in _responses():
        headers = {"WWW-Authenticate": "'Bearer'"} if said.status == HTTPStatus.UNAUTHORIZED else {}
        problem = {
            "type": type_of(said.code),
            "title": said.title,
            "status": said.status,
            "detail": said.detail,
            "code": said.code,
        }
        _add(api, said.kind, json.dumps(problem), headers, status_code=str(said.status))
    for kind, code, title in (
        (_Type.DEFAULT_4_XX, "refused", "Refused"),
        (_Type.DEFAULT_5_XX, "internal", "Internal error"),
    ):
        # The rest keeps its status and API Gateway's words, which come with their quotes.
        problem = {"type": type_of(code), "title": title, "code": code}
        body = json.dumps(problem)[:-1] + ', "detail": $context.error.messageString}'
        _add(api, kind, body, {})


def _add(
    api: aws_apigateway.RestApi,
    kind: aws_apigateway.ResponseType,
    body: str,
    headers: dict[str, str],
    status_code: str | None = None,
) -> None:
    api.add_gateway_response(
        kind.response_type.title().replace("_", ""),
        type=kind,
        status_code=status_code,
        response_headers={"Content-Type": f"'{CONTENT_TYPE}'", **headers},
        templates={"application/json": body},
    )
