"""The runtime's protocol: REST, the endpoint in the path, the model's body unchanged.

botocore's service model maps headers to members and validates them; the container gets body,
Content-Type and Accept.
"""

import http.client
import json
import re
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from botocore.model import OperationModel

from simulator.iam import call as iam
from simulator.sagemaker import event_stream, refusals
from simulator.sagemaker.account import ACCOUNT, REGION, Account
from simulator.sagemaker.endpoint import Endpoint
from simulator.sagemaker.messages import Answer, AsyncJob, Call, Request
from simulator.sagemaker.refusals import RefusedError
from simulator.sagemaker.service_model import (
    errors_of,
    hold_to_model,
    hold_to_shape,
    mistakes_of,
    service,
)

PATH = re.compile(r"/endpoints/(?P<name>[^/]+)/(?P<what>[a-z-]+)$")
STREAM = "application/vnd.amazon.eventstream"
STREAM_TIMEOUT = 480.0
"""Seconds; an assumption."""

Json = dict[str, Any]


class Runtime:
    """Answers invocations; a container has `answer_within` seconds."""

    def __init__(self, account: Account, answer_within: float = 60.0) -> None:
        self._account = account
        self._answer_within = answer_within
        self._model = service("sagemaker-runtime")
        self._operations = {
            self._model.operation_model(name).http["requestUri"].rpartition("/")[2]: name
            for name in self._model.operation_names
        }

    def answer(self, asked: Request) -> Answer:
        """Return the service's answer, refusals included.

        Raises:
            DroppedError: the answer is to be lost.

        """
        operation, name, refused = "?", "", ""
        try:
            asked.must_be_signed()
            operation, name = self._operation(asked)
            request = self._valid(operation, name, asked)
            self._authorize(asked, operation, name)
            self._account.faults.before(operation, self._account.now())
            answer = self._invoke(operation, request)
            self._account.faults.after(operation)
        except RefusedError as refusal:
            refused = refusal.code
            return self._refusal(refusal)
        finally:
            self._account.calls.append(Call(operation, name, refused, self._account.now()))
        return answer

    def _operation(self, asked: Request) -> tuple[str, str]:
        found = PATH.match(asked.path)
        if found is None or found["what"] not in self._operations:
            raise RefusedError("UnknownOperationException", "", status=404)
        return self._operations[found["what"]], unquote(found["name"])

    def _valid(self, operation: str, name: str, asked: Request) -> Json:
        model = self._model.operation_model(operation)
        request = _members(model, name, asked)
        if mistakes := mistakes_of(request, model):
            raise RefusedError("ValidationError", mistakes)
        return request

    def _authorize(self, request: Request, operation: str, name: str) -> None:
        try:
            call = iam.Call("sagemaker", operation, {"EndpointName": name})
            self._account.access.check(request.access_key, call)
        except iam.DeniedError as denied:
            raise refusals.denied_by_iam(str(denied)) from None

    def _invoke(self, operation: str, request: Json) -> Answer:
        endpoint = self._account.serving(request["EndpointName"])
        is_async = "AsyncInferenceConfig" in endpoint.config.request
        if is_async != (operation == "InvokeEndpointAsync"):
            raise refusals.wrong_invocation(endpoint.name, ACCOUNT, asynchronous=is_async)
        match operation:
            case "InvokeEndpointAsync":
                return self._accept(endpoint, request)
            case "InvokeEndpoint":
                return self._forward(endpoint, request)
            case _:
                return self._stream(endpoint, request)

    # ── The three operations ─────────────────────────────────────────────────────────────────────

    def _forward(self, endpoint: Endpoint, request: Json) -> Answer:
        connection, response = self._invoke_container(endpoint, request, self._answer_within)
        try:
            body = response.read()
        except (OSError, http.client.HTTPException):
            raise self._model_error(0, refusals.TIMED_OUT, endpoint) from None
        finally:
            connection.close()
        most = self._model.shape_for("BodyBlob").metadata["max"]
        if len(body) > most:
            raise self._model_error(0, f"The answer has more than {most} bytes.", endpoint)
        answer = {
            "Body": body,
            "ContentType": response.headers.get("Content-Type", "application/octet-stream"),
            "InvokedProductionVariant": endpoint.config.variants[0]["VariantName"],
        }
        return self._encoded("InvokeEndpoint", answer, body)

    def _stream(self, endpoint: Endpoint, request: Json) -> Answer:
        connection, response = self._invoke_container(endpoint, request, STREAM_TIMEOUT)
        answer = {
            "Body": {},
            "ContentType": response.headers.get("Content-Type", "application/octet-stream"),
            "InvokedProductionVariant": endpoint.config.variants[0]["VariantName"],
        }
        chunks = self._chunks(connection, response)
        return self._encoded("InvokeEndpointWithResponseStream", answer, chunks, STREAM)

    def _chunks(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> Iterator[bytes]:
        shape = self._model.shape_for("ResponseStream")
        try:
            while chunk := response.read1(65536):
                hold_to_shape({"PayloadPart": {"Bytes": chunk}}, shape)
                yield event_stream.event("PayloadPart", chunk)
        except (OSError, http.client.HTTPException):
            broken = {"Message": "The model broke off.", "ErrorCode": "StreamBroken"}
            hold_to_shape({"ModelStreamError": broken}, shape)
            yield event_stream.exception("ModelStreamError", json.dumps(broken).encode())
        finally:
            connection.close()

    def _accept(self, endpoint: Endpoint, request: Json) -> Answer:
        if ("Body" in request) == ("InputLocation" in request):
            raise RefusedError(
                "ValidationError", "Exactly one of Body and InputLocation is needed."
            )
        output = endpoint.config.request["AsyncInferenceConfig"]["OutputConfig"]
        folder = output["S3OutputPath"].rstrip("/")
        failures = output.get("S3FailurePath", folder).rstrip("/")
        inference = request.get("InferenceId", str(uuid.uuid4()))
        name = request.get("Filename", f"{uuid.uuid4()}.out")
        job = AsyncJob(
            endpoint=endpoint.name,
            inference_id=inference,
            container=_address(endpoint),
            headers=_container_headers(request),
            body=request.get("Body"),
            input_location=request.get("InputLocation"),
            output_location=f"{folder}/{name}",
            failure_location=f"{failures}/{name.removesuffix('.out')}-error.out",
            role=self._account.role_of(endpoint),
            topics=output.get("NotificationConfig", {}),
        )
        self._account.jobs.append(job)
        answer = {
            "InferenceId": inference,
            "OutputLocation": job.output_location,
            "FailureLocation": job.failure_location,
        }
        body = json.dumps({"InferenceId": inference}).encode()
        return self._encoded("InvokeEndpointAsync", answer, body, "application/json")

    # ── Container and wire ───────────────────────────────────────────────────────────────────────

    def _invoke_container(
        self, endpoint: Endpoint, request: Json, timeout: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Return the container's response below status 300, its body unread."""
        connection = http.client.HTTPConnection(_address(endpoint), timeout=timeout)
        try:
            connection.request("POST", "/invocations", request["Body"], _container_headers(request))
            response = connection.getresponse()
            if response.status < HTTPStatus.MULTIPLE_CHOICES:
                return connection, response
            original = response.read().decode("utf-8", "replace")
        except TimeoutError:
            connection.close()
            raise self._model_error(0, refusals.TIMED_OUT, endpoint) from None
        except (OSError, http.client.HTTPException):
            connection.close()
            raise refusals.unavailable() from None
        connection.close()
        raise self._model_error(response.status, original, endpoint)

    def _model_error(self, status: int, original: str, endpoint: Endpoint) -> RefusedError:
        return refusals.model_error(status, original, endpoint.name, (REGION, ACCOUNT))

    def _encoded(
        self, operation: str, answer: Json, body: bytes | Iterator[bytes], content_type: str = ""
    ) -> Answer:
        """Return an answer with its members in the headers that the model maps them to."""
        model = self._model.operation_model(operation)
        hold_to_model(answer, model)
        headers = {"Content-Type": content_type} if content_type else {}
        for member, value in answer.items():
            place = model.output_shape.members[member].serialization
            if place.get("location") == "header":
                headers[place["name"]] = value
        return Answer(model.http.get("responseCode", 200), headers, body)

    def _refusal(self, refusal: RefusedError) -> Answer:
        answer: Json = {"Message": refusal.message, **refusal.members}
        status = refusal.status
        shape = errors_of("sagemaker-runtime").get(refusal.code)
        if shape is not None:
            hold_to_shape(answer, shape)
            status = shape.metadata["error"]["httpStatusCode"]
        headers = {"Content-Type": "application/json", "x-amzn-errortype": refusal.code}
        return Answer(status, headers, json.dumps(answer).encode())


def _members(model: OperationModel, name: str, asked: Request) -> Json:
    """Return the request's members, from path, headers and body."""
    request: Json = {"EndpointName": name}
    for member, shape in model.input_shape.members.items():
        place = shape.serialization
        if place.get("location") == "header" and place["name"] in asked.headers:
            value = asked.headers[place["name"]]
            request[member] = int(value) if shape.type_name == "integer" else value
    required = model.input_shape.required_members
    if asked.body or "Body" in required:
        request["Body"] = asked.body
    return request


def _container_headers(request: Json) -> dict[str, str]:
    named = {
        "Content-Type": request.get("ContentType"),
        "Accept": request.get("Accept"),
        "X-Amzn-SageMaker-Custom-Attributes": request.get("CustomAttributes"),
    }
    return {name: value for name, value in named.items() if value is not None}


def _address(endpoint: Endpoint) -> str:
    if endpoint.container is None:
        raise refusals.not_found_at_runtime(endpoint.name, ACCOUNT)
    return endpoint.container.address
