"""Gateway responses: those that API Gateway generates itself, worded by it or by the template.

After the developer guide's "Gateway response types". Knows no request but its id.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from simulator.cloudformation.stacks import Resource

_TYPES = {
    "ACCESS_DENIED": (403, "User is not authorized to access this resource"),
    "API_CONFIGURATION_ERROR": (500, "Internal server error"),
    "AUTHORIZER_CONFIGURATION_ERROR": (500, None),
    "AUTHORIZER_FAILURE": (500, None),
    # A function that failed, or returned no valid response.
    "DEFAULT_5XX": (502, "Internal server error"),
    "INTEGRATION_FAILURE": (504, "Network error communicating with endpoint"),
    "INTEGRATION_TIMEOUT": (504, "Endpoint request timed out"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "Missing Authentication Token"),
    "REQUEST_TOO_LARGE": (413, "Request Too Long"),
    "UNAUTHORIZED": (401, "Unauthorized"),
}
_DEFAULT_TEMPLATE = '{"message":$context.error.messageString}'
_VARIABLE = re.compile(r"\$context\.([A-Za-z]+(?:\.[A-Za-z]+)*)")


class GatewayError(Exception):
    """Raised for a gateway response; `kind` is one of the gateway response types."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Response:
    """The HTTP response to a client."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class GatewayResponses:
    """The gateway responses of one API."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._configured: dict[str, dict[str, Any]] = {
            r.properties["ResponseType"]: r.properties for r in resources
        }

    def response(self, kind: str, request_id: str) -> Response:
        """Return the response for an error of this kind."""
        status, message = _TYPES[kind]
        general = "DEFAULT_4XX" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "DEFAULT_5XX"
        configured = self._configured.get(kind) or self._configured.get(general) or {}
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": _error_type(kind)}
        for name, value in configured.get("ResponseParameters", {}).items():
            headers[name.removeprefix("gatewayresponse.header.")] = value.strip("'")
        template = configured.get("ResponseTemplates", {}).get(
            "application/json", _DEFAULT_TEMPLATE
        )
        values = {
            "error.message": message or "",
            "error.messageString": json.dumps(message),
            "error.responseType": kind,
            "requestId": request_id,
            "extendedRequestId": request_id,
        }
        body = _VARIABLE.sub(lambda found: values.get(found[1], ""), template)
        headers["x-amzn-RequestId"] = request_id
        return Response(
            int(configured.get("StatusCode", status)), list(headers.items()), body.encode()
        )


def _error_type(kind: str) -> str:
    """Return `AccessDeniedException` for `ACCESS_DENIED`."""
    return kind.title().replace("_", "") + "Exception"
