"""API Gateway in front of the control function: requests in, a client's view of answers out."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from parkmeter.aws import control
from simulator.deployment import Deployed, deployed
from simulator.sagemaker.account import ACCOUNT
from simulator.sagemaker.simulator import SageMakerSimulator

ADA = {"id": "a1", "name": "ada", "scopes": "admin,invoke,top-up", "endpoints": "*"}
BOB = {"id": "b2", "name": "bob", "scopes": "invoke", "endpoints": "*"}


@dataclass
class Said:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass
class Gateway:
    """API Gateway in front of the control function. `answers`: those of control."""

    deployment: Deployed
    answers: list[dict[str, Any]] = field(default_factory=list)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: dict[str, str] | None = ADA,
        query: dict[str, list[str]] | None = None,
        **headers: str,
    ) -> Said:
        context: dict[str, Any] = {
            "stage": "prod",
            "path": f"/prod{path}",
            "identity": {"sourceIp": "192.0.2.1"},
        }
        if by is not None:
            context["authorizer"] = {"principalId": by["id"], "integrationLatency": 3, **by}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        raw = None if body is None else base64.b64encode(body).decode()
        given = {
            "Host": "abc.execute-api.us-east-1.amazonaws.com",
            "X-Forwarded-Proto": "https",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        event = {
            "resource": "/{proxy+}",
            "httpMethod": method,
            "path": path or "/",
            "headers": given,
            "multiValueHeaders": {name: [value] for name, value in given.items()},
            "queryStringParameters": None,
            "multiValueQueryStringParameters": query,
            "requestContext": context,
            "body": raw,
            "isBase64Encoded": raw is not None,
        }
        answer = control.handler(event, None)
        self.answers.append(answer)
        raw_answer = answer["body"].encode()
        if answer["isBase64Encoded"]:
            raw_answer = base64.b64decode(raw_answer)
        said = Said(answer["statusCode"], answer["headers"], raw_answer)
        if said.status >= 400:
            assert ACCOUNT.encode() not in said.body
            assert b"arn:" not in said.body
        return said


@contextmanager
def gateway_to_control(
    moto: str, sagemaker: SageMakerSimulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Gateway]:
    """A new deployment with the endpoint flan-t5, and control over it."""
    with deployed(moto, monkeypatch.setenv) as deployment:
        for name in ("AWS_ENDPOINT_URL_SAGEMAKER", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"):
            monkeypatch.setenv(name, sagemaker.url)
        deployment.define()
        control.control.cache_clear()
        yield Gateway(deployment)
        control.control().close()
        control.control.cache_clear()
