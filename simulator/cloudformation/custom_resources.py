"""Custom resources: CloudFormation invokes a function and waits for a PUT to the response URL.

The protocol is AWS's "custom resource request and response objects". Knows no template.
"""

import json
import queue
import threading
import uuid
from typing import Any, Protocol

from werkzeug.wrappers import Request, Response

from simulator.cloudformation.resources import Declared, PhysicalResource, ResourceError
from simulator.lambda_runtime.process import Outcome

PATH = "/custom-resource-responses/"
TIMEOUT = 300.0
"""Seconds; a template may set less by `ServiceTimeout`."""

Json = dict[str, Any]


class Functions(Protocol):
    """The part of Lambda that custom resources need."""

    def invoke(self, name: str, payload: bytes) -> Outcome:
        """Invoke the function and return its outcome."""


class CustomResources:
    """Implements `resources.ResourceKind`. `url` is the address that `handle` serves."""

    replaces_by_itself = False

    def __init__(self, functions: Functions, url: str) -> None:
        self._functions = functions
        self._url = url
        self._waiting: dict[str, queue.Queue[Json]] = {}

    def create(self, declared: Declared) -> PhysicalResource:
        try:
            return self._created(declared, self._request("Create", declared))
        except ResourceError as error:
            # It may have created a part, which the rollback deletes.
            raise ResourceError(
                str(error), PhysicalResource(declared, declared.generated_name)
            ) from None

    def update(
        self, created: PhysicalResource, former: dict[str, Any], declared: Declared
    ) -> PhysicalResource:
        response = self._request(
            "Update",
            declared,
            PhysicalResourceId=created.physical_resource_id,
            OldResourceProperties=_as_text(former),
        )
        changed = self._created(declared, response)
        # Under the same id it is the same resource, which must not be deleted.
        same = changed.physical_resource_id == created.physical_resource_id
        if same:
            created.__dict__.update(changed.__dict__)
        return created if same else changed

    def delete(self, created: PhysicalResource, declared: Declared) -> None:
        self._request("Delete", declared, PhysicalResourceId=created.physical_resource_id)

    def handle(self, request: Request) -> Response | None:
        """Take a response that a function PUTs."""
        if not request.path.startswith(PATH):
            return None
        waiting = self._waiting.get(request.path.removeprefix(PATH))
        if request.method != "PUT" or waiting is None:
            return Response(status=403)
        waiting.put(json.loads(request.get_data()))
        return Response(status=200)

    def _created(self, declared: Declared, response: Json) -> PhysicalResource:
        return PhysicalResource(
            declared, response["PhysicalResourceId"], **response.get("Data") or {}
        )

    def _request(self, request_type: str, declared: Declared, **members: Any) -> Json:
        request_id = str(uuid.uuid4())
        token = declared.properties["ServiceToken"]
        event = {
            "RequestType": request_type,
            "ServiceToken": token,
            "ResponseURL": f"{self._url}{PATH}{request_id}",
            "StackId": declared.stack_map["AWS::StackId"],
            "RequestId": request_id,
            "LogicalResourceId": declared.logical_id,
            "ResourceType": declared.kind,
            "ResourceProperties": _as_text(declared.properties),
            **members,
        }
        timeout = min(TIMEOUT, float(declared.properties.get("ServiceTimeout", TIMEOUT)))
        responses = self._waiting[request_id] = queue.Queue()
        thread = threading.Thread(
            target=self._call, args=(token, event, responses), name=f"{request_type} {token}"
        )
        thread.start()
        try:
            response = responses.get(timeout=timeout)
        except queue.Empty:
            raise ResourceError(f"{token} did not respond in {timeout:.0f} s") from None
        finally:
            del self._waiting[request_id]
        if response.get("Status") != "SUCCESS":
            raise ResourceError(response.get("Reason") or "FAILED, without a reason")
        if not response.get("PhysicalResourceId"):
            raise ResourceError("Invalid PhysicalResourceId")
        return response

    def _call(self, token: str, event: Json, responses: "queue.Queue[Json]") -> None:
        """Invoke the function; it may respond long after its return, from a later invocation."""
        outcome = self._functions.invoke(token, json.dumps(event).encode())
        if outcome.error:
            # AWS would wait for the whole timeout; here the cause is reported at once.
            reason = outcome.payload.decode(errors="replace")
            responses.put({"Status": "FAILED", "Reason": f"{token} failed: {reason}"})


def _as_text(value: Any) -> Any:
    """Convert numbers and booleans to text, as CloudFormation sends them."""
    match value:
        case dict():
            return {key: _as_text(item) for key, item in value.items()}
        case list():
            return [_as_text(item) for item in value]
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
