"""Custom resources: CloudFormation asks a function, and waits for what is PUT to an address.

The protocol is AWS's "custom resource request and response objects". Knows how to call a function
and where answers come in; no template.
"""

import json
import queue
import threading
import uuid
from typing import Any, Protocol

from werkzeug.wrappers import Request, Response

from simulator.cloudformation.resources import Made, ResourceError, Wanted
from simulator.lambda_runtime.process import Outcome

PATH = "/custom-resource-answers/"
PATIENCE = 300.0
"""Seconds; a template may ask for less by `ServiceTimeout`."""

Answer = dict[str, Any]


class Functions(Protocol):
    """The part of Lambda that is needed here."""

    def invoke(self, name: str, payload: bytes) -> Outcome:
        """Wait for the function's outcome."""


class Custom:
    """Implements `resources.Kind`. `url` is where `door` can be reached."""

    replaces_by_itself = False

    def __init__(self, functions: Functions, url: str) -> None:
        self._functions = functions
        self._url = url
        self._waiting: dict[str, queue.Queue[Answer]] = {}

    def create(self, wanted: Wanted) -> Made:
        try:
            return self._made(wanted, self._ask("Create", wanted))
        except ResourceError as error:
            # It may have done a part: in the rollback it is asked to delete that.
            raise ResourceError(str(error), Made(wanted, wanted.generated_name)) from None

    def update(self, made: Made, former: dict[str, Any], wanted: Wanted) -> Made:
        answer = self._ask(
            "Update",
            wanted,
            PhysicalResourceId=made.physical_resource_id,
            OldResourceProperties=_as_text(former),
        )
        changed = self._made(wanted, answer)
        # Under the same id it is the same thing, and must not be deleted.
        same = changed.physical_resource_id == made.physical_resource_id
        if same:
            made.__dict__.update(changed.__dict__)
        return made if same else changed

    def delete(self, made: Made, wanted: Wanted) -> None:
        self._ask("Delete", wanted, PhysicalResourceId=made.physical_resource_id)

    def door(self, request: Request) -> Response | None:
        """Takes the answers."""
        if not request.path.startswith(PATH):
            return None
        waiting = self._waiting.get(request.path.removeprefix(PATH))
        if request.method != "PUT" or waiting is None:
            return Response(status=403)
        waiting.put(json.loads(request.get_data()))
        return Response(status=200)

    def _made(self, wanted: Wanted, answer: Answer) -> Made:
        return Made(wanted, answer["PhysicalResourceId"], **answer.get("Data") or {})

    def _ask(self, request_type: str, wanted: Wanted, **more: Any) -> Answer:
        request_id = str(uuid.uuid4())
        token = wanted.properties["ServiceToken"]
        event = {
            "RequestType": request_type,
            "ServiceToken": token,
            "ResponseURL": f"{self._url}{PATH}{request_id}",
            "StackId": wanted.within["AWS::StackId"],
            "RequestId": request_id,
            "LogicalResourceId": wanted.logical_id,
            "ResourceType": wanted.kind,
            "ResourceProperties": _as_text(wanted.properties),
            **more,
        }
        patience = min(PATIENCE, float(wanted.properties.get("ServiceTimeout", PATIENCE)))
        answers = self._waiting[request_id] = queue.Queue()
        asking = threading.Thread(
            target=self._call, args=(token, event, answers), name=f"{request_type} {token}"
        )
        asking.start()
        try:
            answer = answers.get(timeout=patience)
        except queue.Empty:
            raise ResourceError(f"{token} did not answer in {patience:.0f} s") from None
        finally:
            del self._waiting[request_id]
        if answer.get("Status") != "SUCCESS":
            raise ResourceError(answer.get("Reason") or "FAILED, without a reason")
        if not answer.get("PhysicalResourceId"):
            raise ResourceError("Invalid PhysicalResourceId")
        return answer

    def _call(self, token: str, event: Answer, answers: "queue.Queue[Answer]") -> None:
        """Ends with the function; it may answer long afterwards, from another run of itself."""
        outcome = self._functions.invoke(token, json.dumps(event).encode())
        if outcome.error:
            # AWS would wait for the whole timeout; here the cause is worth more.
            words = outcome.payload.decode(errors="replace")
            answers.put({"Status": "FAILED", "Reason": f"{token} failed: {words}"})


def _as_text(value: Any) -> Any:
    """CloudFormation sends numbers and truth values as text."""
    match value:
        case dict():
            return {key: _as_text(item) for key, item in value.items()}
        case list():
            return [_as_text(item) for item in value]
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
