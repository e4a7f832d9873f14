"""The control plane's protocol: JSON 1.1, the operation in `X-Amz-Target`, all on one path.

Translates between requests and `account.py`; both directions are validated by botocore's service
model.
"""

import base64
import json
from collections.abc import Callable
from typing import Any

from simulator.iam import call as iam
from simulator.sagemaker.account import Account
from simulator.sagemaker.endpoint import SERVING, Endpoint
from simulator.sagemaker.messages import Answer, Call, Request
from simulator.sagemaker.refusals import (
    RefusedError,
    denied_by_iam,
    invalid,
    scalable_target_in_the_way,
)
from simulator.sagemaker.service_model import errors_of, hold_to_model, mistakes_of, plain, service

CONTENT_TYPE = "application/x-amz-json-1.1"
DEFAULT_PAGE = 10

Json = dict[str, Any]
Key = list[str]

_SORT_MEMBER = {
    "Name": "EndpointName",
    "CreationTime": "CreationTime",
    "Status": "EndpointStatus",
}


class ControlPlane:
    """Answers control-plane requests."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._model = service("sagemaker")
        # The few errors in the model name their member `Message`, the others `message`.
        self._modelled = errors_of("sagemaker")
        self._operations: dict[str, Callable[[Json], Json]] = {
            "AddTags": self._add_tags,
            "CreateEndpoint": self._create_endpoint,
            "CreateEndpointConfig": self._create_config,
            "CreateModel": self._create_model,
            "DeleteEndpoint": self._delete_endpoint,
            "DeleteEndpointConfig": self._delete_config,
            "DeleteModel": self._delete_model,
            "DescribeEndpoint": self._describe_endpoint,
            "DescribeEndpointConfig": self._describe_config,
            "DescribeModel": self._describe_model,
            "ListEndpoints": self._list_endpoints,
            "ListTags": self._list_tags,
            "UpdateEndpoint": self._update_endpoint,
        }

    def answer(self, request: Request) -> Answer:
        """Return the service's answer, refusals included.

        Raises:
            DroppedError: the answer is to be lost.

        """
        operation, members, refused = "?", {}, ""
        try:
            request.must_be_signed()
            operation = self._operation(request)
            members = self._valid(operation, request)
            self._authorize(request, operation, members)
            self._account.faults.before(operation, self._account.now())
            with self._account.lock:
                answer = self._operations[operation](members)
            hold_to_model(answer, self._model.operation_model(operation))
            self._account.faults.after(operation)
        except RefusedError as refusal:
            refused = refusal.code
            member = "Message" if refusal.code in self._modelled else "message"
            return _encoded(refusal.status, {"__type": refusal.code, member: refusal.message})
        finally:
            name = str(members.get("EndpointName", members.get("ResourceArn", "")))
            self._account.calls.append(Call(operation, name, refused, self._account.now()))
        return _encoded(200, answer)

    def _operation(self, request: Request) -> str:
        prefix, _, name = request.headers.get("X-Amz-Target", "").partition(".")
        known = prefix == self._model.metadata["targetPrefix"]
        if not known or name not in self._model.operation_names:
            raise RefusedError("UnknownOperationException", "")
        if name not in self._operations:
            raise RefusedError("NotSimulated", f"The simulator has no {name}.", status=501)
        return name

    def _authorize(self, request: Request, operation: str, members: Json) -> None:
        try:
            self._account.access.check(
                request.access_key, iam.Call("sagemaker", operation, members)
            )
        except iam.DeniedError as denied:
            if "DeregisterScalableTarget" in str(denied):
                raise scalable_target_in_the_way() from None
            raise denied_by_iam(str(denied)) from None

    def _valid(self, operation: str, request: Request) -> Json:
        try:
            members = json.loads(request.body)
        except ValueError:
            members = None
        if request.headers.get("Content-Type") != CONTENT_TYPE or not isinstance(members, dict):
            raise RefusedError("SerializationException", "")
        if mistakes := mistakes_of(members, self._model.operation_model(operation)):
            raise invalid(mistakes)
        return members

    # ── Models and configs ───────────────────────────────────────────────────────────────────────

    def _create_model(self, request: Json) -> Json:
        return {"ModelArn": self._account.create_model(request["ModelName"], request)}

    def _describe_model(self, request: Json) -> Json:
        return self._account.model(request["ModelName"])

    def _delete_model(self, request: Json) -> Json:
        self._account.delete_model(request["ModelName"])
        return {}

    def _create_config(self, request: Json) -> Json:
        config = self._account.create_config(request["EndpointConfigName"], request)
        return {"EndpointConfigArn": config.arn}

    def _describe_config(self, request: Json) -> Json:
        config = self._account.config(request["EndpointConfigName"])
        members = {key: item for key, item in config.request.items() if key != "Tags"}
        return {**members, "EndpointConfigArn": config.arn, "CreationTime": config.created}

    def _delete_config(self, request: Json) -> Json:
        self._account.delete_config(request["EndpointConfigName"])
        return {}

    # ── Endpoints ────────────────────────────────────────────────────────────────────────────────

    def _create_endpoint(self, request: Json) -> Json:
        tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        config = request["EndpointConfigName"]
        endpoint = self._account.create_endpoint(request["EndpointName"], config, tags)
        return {"EndpointArn": endpoint.arn}

    def _update_endpoint(self, request: Json) -> Json:
        name, config = request["EndpointName"], request["EndpointConfigName"]
        retain = bool(request.get("RetainAllVariantProperties"))
        return {"EndpointArn": self._account.update_endpoint(name, config, retain=retain).arn}

    def _delete_endpoint(self, request: Json) -> Json:
        self._account.delete_endpoint(request["EndpointName"])
        return {}

    def _describe_endpoint(self, request: Json) -> Json:
        endpoint = self._account.endpoint(request["EndpointName"])
        answer = {**_summary(endpoint), "EndpointConfigName": endpoint.config.name}
        if endpoint.failure:
            answer["FailureReason"] = endpoint.failure
        if endpoint.status in SERVING:
            answer["ProductionVariants"] = [
                {
                    "VariantName": variant["VariantName"],
                    "CurrentInstanceCount": endpoint.instances,
                    "DesiredInstanceCount": endpoint.desired,
                }
                for variant in endpoint.config.variants
            ]
        if "AsyncInferenceConfig" in endpoint.config.request:
            answer["AsyncInferenceConfig"] = endpoint.config.request["AsyncInferenceConfig"]
        return answer

    def _list_endpoints(self, request: Json) -> Json:
        by = request.get("SortBy", "CreationTime")
        descending = request.get("SortOrder", "Descending") == "Descending"

        def key(endpoint: Endpoint) -> Key:
            return [str(plain(_summary(endpoint)[_SORT_MEMBER[by]])), endpoint.name]

        chosen = sorted(
            (one for one in self._account.listed() if _matches(one, request)),
            key=key,
            reverse=descending,
        )
        start = 0
        if "NextToken" in request:
            start = _position(
                request["NextToken"], [key(one) for one in chosen], descending=descending
            )
        end = start + request.get("MaxResults", DEFAULT_PAGE)
        answer: Json = {"Endpoints": [_summary(endpoint) for endpoint in chosen[start:end]]}
        if end < len(chosen):
            last = json.dumps(key(chosen[end - 1]))
            answer["NextToken"] = base64.b64encode(last.encode()).decode()
        return answer

    # ── Tags ─────────────────────────────────────────────────────────────────────────────────────

    def _add_tags(self, request: Json) -> Json:
        tags = self._account.tags(request["ResourceArn"])
        tags |= {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        return {"Tags": _listed(tags)}

    def _list_tags(self, request: Json) -> Json:
        # A resource has at most 50 tags and a page at least as many: there is only one.
        return {"Tags": _listed(self._account.tags(request["ResourceArn"]))}


def _listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _summary(endpoint: Endpoint) -> Json:
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
        "EndpointStatus": str(endpoint.status),
    }


def _matches(endpoint: Endpoint, request: Json) -> bool:
    created, modified = endpoint.created.timestamp(), endpoint.modified.timestamp()
    return (
        request.get("NameContains", "").lower() in endpoint.name.lower()
        and request.get("StatusEquals", endpoint.status) == endpoint.status
        and _between(request, "CreationTime", created)
        and _between(request, "LastModifiedTime", modified)
    )


def _between(request: Json, member: str, moment: float) -> bool:
    after, before = request.get(f"{member}After", 0), request.get(f"{member}Before", moment)
    return bool(after <= moment <= before)


def _position(token: str, keys: list[Key], *, descending: bool) -> int:
    """Return the position after the last endpoint of a page, which may be deleted since."""
    try:
        last = json.loads(base64.b64decode(token, validate=True))
    except ValueError:
        raise invalid("Invalid pagination token.") from None
    return sum(key >= last if descending else key <= last for key in keys)


def _encoded(status: int, answer: Json) -> Answer:
    body = json.dumps(plain(answer)).encode() if answer else b""
    return Answer(status, {"Content-Type": CONTENT_TYPE}, body)
