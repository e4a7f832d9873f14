"""API Gateway's own errors as problem+json with a stable code, in the form of the handlers' errors.

A handler's answer passes unchanged; these are for requests that reach no handler. Uses the codes of
`parkmeter.errors`, so that a program sees one code for one cause.
"""

import json
from dataclasses import dataclass
from http import HTTPStatus

from aws_cdk import aws_apigateway

from parkmeter import errors
from parkmeter.web.problems import CONTENT_TYPE, messages, type_of

_Type = aws_apigateway.ResponseType

_RETRY_AFTER_SECONDS = 5
_MESSAGE = "$context.error.messageString"


@dataclass(frozen=True, slots=True)
class _Response:
    kind: aws_apigateway.ResponseType
    status: int
    code: str
    title: str
    detail: str
    retry_after: int | None = None


def _responses() -> list[_Response]:
    return [
        _Response(
            _Type.UNAUTHORIZED,
            401,
            errors.TokenMissingError.code,
            errors.TokenMissingError.title,
            "Send your token in the Authorization header.",
        ),
        _Response(
            _Type.ACCESS_DENIED,
            403,
            errors.TokenRefusedError.code,
            errors.TokenRefusedError.title,
            "The token is unknown, expired or revoked. A token that was used before it was added "
            "is accepted within a minute.",
        ),
        _Response(
            # API Gateway's error for an unknown path or method.
            _Type.MISSING_AUTHENTICATION_TOKEN,
            404,
            "not_found",
            "Not found",
            "There is no route with this path and method; /docs lists all routes.",
        ),
        _Response(
            _Type.REQUEST_TOO_LARGE,
            413,
            errors.TooLargeError.code,
            errors.TooLargeError.title,
            "A body may have at most 10 MB, and a prompt 4 MB.",
        ),
        _Response(
            _Type.THROTTLED,
            429,
            "too_many_requests",
            "Too many requests",
            "The limit of requests per second is exceeded; wait a moment.",
        ),
        _Response(
            # The authorizer failed, so the token was not checked: not a refusal, and not cached.
            _Type.AUTHORIZER_FAILURE,
            500,
            "internal",
            "Internal error",
            "The token could not be looked up; try again.",
        ),
        _Response(
            _Type.INTEGRATION_TIMEOUT,
            504,
            errors.UpstreamTimeoutError.code,
            errors.UpstreamTimeoutError.title,
            "No answer within 29 seconds. Use the endpoint's -async path for longer ones.",
        ),
        _Response(
            # Lambda refused the call: the function is at its cap, or the account at its quota.
            _Type.INTEGRATION_FAILURE,
            503,
            "gateway_busy",
            "Busy",
            "As many requests as may run at once are running. Nothing was done; try again.",
            retry_after=_RETRY_AFTER_SECONDS,
        ),
    ]


def add_problem_responses(api: aws_apigateway.RestApi) -> None:
    """Define an API's responses for every error that it raises itself."""
    for one in _responses():
        headers = {"WWW-Authenticate": "'Bearer'"} if one.status == HTTPStatus.UNAUTHORIZED else {}
        if one.retry_after is not None:
            headers["Retry-After"] = f"'{one.retry_after}'"
        problem = {
            "type": type_of(one.code),
            "title": one.title,
            "status": one.status,
            "detail": one.detail,
            "code": one.code,
            **messages(one.status, one.code, one.detail),
        }
        _add(api, one.kind, json.dumps(problem), headers, status_code=str(one.status))
    for kind, status, code, title in (
        (_Type.DEFAULT_4_XX, 400, "refused", "Refused"),
        (_Type.DEFAULT_5_XX, 500, "internal", "Internal error"),
    ):
        # All others keep their status and API Gateway's message, which includes its quotes.
        problem = {
            "type": type_of(code),
            "title": title,
            "code": code,
            "detail": _MESSAGE,
            **messages(status, code, _MESSAGE),
        }
        _add(api, kind, json.dumps(problem).replace(f'"{_MESSAGE}"', _MESSAGE), {})


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
