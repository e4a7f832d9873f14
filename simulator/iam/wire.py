"""HTTP requests to AWS's services as calls, and denials as the services' own answers.

The protocols: JSON (DynamoDB, SSM, SageMaker, Logs, CloudWatch, …), Query (SNS), and the REST paths
of S3 and Lambda that are used here. Knows no policy.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree as ET

from simulator.iam.call import Call, UncheckedCallError

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
_INVOCATION_PATH = re.compile(r"/2015-03-31/functions/([^/]+)/invocations$")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request; `path` without its query, `headers` by lower-case names."""

    method: str
    host: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Signature:
    """The access key that signed a request, and the region and service for which it did."""

    access_key: str
    region: str
    service: str


def signature_of(authorization: str, query: str) -> Signature | None:
    """Return the signature in a header, or in a presigned address; None if there is none."""
    presigned = dict(parse_qsl(query)).get("X-Amz-Credential", "")
    found = _CREDENTIAL.search(authorization or f"Credential={presigned}")
    return None if found is None else Signature(found[1], found[2], found[3])


def call_of(request: HttpRequest, service: str) -> Call:
    """Return the call in a request that is signed for `service`.

    Raises:
        UncheckedCallError: the request cannot be understood.

    """
    if target := request.headers.get("x-amz-target"):
        return Call(service, target.rpartition(".")[2], json.loads(request.body or b"{}"))
    if service == "s3":
        return _s3_call(request)
    if service == "lambda" and (found := _INVOCATION_PATH.search(request.path)):
        return Call(service, "Invoke", {"FunctionName": unquote(found[1])})
    form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
    if "Action" in form:
        return Call(service, form.pop("Action"), form)
    raise UncheckedCallError(f"{service} {request.method} {request.path}")


_BY_METHOD = {
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "PUT": "PutObject",
    "DELETE": "DeleteObject",
}


def _s3_call(request: HttpRequest) -> Call:
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    bucket, key = _bucket_and_key(request)
    if key and request.method in _BY_METHOD:
        return Call("s3", _BY_METHOD[request.method], {"Bucket": bucket, "Key": key})
    if request.method == "GET" and query.get("list-type") == "2":
        return Call("s3", "ListObjectsV2", {"Bucket": bucket})
    if request.method == "POST" and "delete" in query:
        keys = [one.text or "" for one in ET.fromstring(request.body).iterfind(".//{*}Key")]
        return Call("s3", "DeleteObjects", {"Bucket": bucket, "Keys": keys})
    raise UncheckedCallError(f"s3 {request.method} {request.path}?{request.query}")


def _bucket_and_key(request: HttpRequest) -> tuple[str, str]:
    """Return bucket and key of either style of address."""
    path = unquote(request.path).removeprefix("/")
    label = request.host.partition(":")[0].removesuffix("localhost").rstrip(".")
    if label and not label.replace(".", "").isdigit():
        return label, path
    bucket, _, key = path.partition("/")
    return bucket, key


# ── Denials ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Denial:
    """The answer to a denied request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def denial(service: str, message: str) -> Denial:
    """Return the answer of a service to a call without permission, in its own protocol."""
    match service:
        case "s3":
            return _xml(f"<Error><Code>AccessDenied</Code>{_element(message)}</Error>")
        case "sns":
            code = "<Type>Sender</Type><Code>AuthorizationError</Code>"
            error = f"<Error>{code}{_element(message)}</Error><RequestId>denied</RequestId>"
            return _xml(f"<ErrorResponse>{error}</ErrorResponse>")
        case "lambda":
            headers = {
                "Content-Type": "application/json",
                "x-amzn-ErrorType": "AccessDeniedException",
            }
            return Denial(403, headers, json.dumps({"Message": message}).encode())
        case "dynamodb":
            kind = "com.amazon.coral.service#AccessDeniedException"
            return _json("application/x-amz-json-1.0", {"__type": kind, "Message": message})
        case _:
            kind = "AccessDeniedException"
            return _json("application/x-amz-json-1.1", {"__type": kind, "Message": message})


def _json(content_type: str, document: dict[str, Any]) -> Denial:
    return Denial(400, {"Content-Type": content_type}, json.dumps(document).encode())


def _xml(document: str) -> Denial:
    return Denial(403, {"Content-Type": "text/xml"}, document.encode())


def _element(message: str) -> str:
    element = ET.Element("Message")
    element.text = message
    return ET.tostring(element, encoding="unicode")
