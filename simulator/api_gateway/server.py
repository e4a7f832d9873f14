"""The deployed REST API, served over HTTP on a loopback port.

Routes, authorizers, integrations, gateway responses and the stage are those of the deployed
template as it is now: its `Deployment` snapshots are not simulated.
"""

import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, TimeoutError  # noqa: A004 (the same since 3.11)
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from simulator.api_gateway import proxy_integration, routes
from simulator.api_gateway.authorizers import Authorizer, function_of
from simulator.api_gateway.gateway_responses import GatewayError, GatewayResponses, Response
from simulator.cloudformation.stacks import Resource, Stacks
from simulator.lambda_runtime.functions import Functions, TooLargeError, UnknownFunctionError
from simulator.sagemaker.account import ACCOUNT, REGION

MAX_BODY = 10 * 1024 * 1024
DEFAULT_TIMEOUT = 29_000
"""Milliseconds; the most that AWS allows without a quota increase."""


MayInvoke = Callable[[str | None, str, str], bool]
"""Returns whether a role, or without one the method itself (an ARN), may invoke a function."""


class RestApi:
    """One deployed API."""

    def __init__(
        self,
        api: Resource,
        resources: list[Resource],
        functions: Functions,
        may_invoke: MayInvoke,
    ) -> None:
        self.id = api.physical_id
        self._may_invoke = may_invoke
        own = [r for r in resources if r.properties.get("RestApiId") == self.id]
        self.stages = {r.properties["StageName"] for r in own if r.kind == "AWS::ApiGateway::Stage"}
        self._root = routes.tree(self.id, resources)
        self._gateway_responses = GatewayResponses(
            r for r in own if r.kind == "AWS::ApiGateway::GatewayResponse"
        )
        self._authorizers = {
            r.physical_id: (Authorizer(r.properties, functions.invoke), r.properties)
            for r in own
            if r.kind == "AWS::ApiGateway::Authorizer"
        }
        self._binary = "*/*" in api.properties.get("BinaryMediaTypes", [])
        self._functions = functions

    def answer(self, request: proxy_integration.Request, executor: ThreadPoolExecutor) -> Response:
        """Return the response to one request, errors included."""
        try:
            return self._answer(request, executor)
        except GatewayError as error:
            return self._gateway_responses.response(error.kind, request.request_id)

    def _answer(self, request: proxy_integration.Request, executor: ThreadPoolExecutor) -> Response:
        if request.body is None:
            raise GatewayError("REQUEST_TOO_LARGE")
        match = routes.find(self._root, request.path)
        method = match and match.resource.method(request.method)
        if match is None or method is None:
            raise GatewayError("MISSING_AUTHENTICATION_TOKEN")
        common = proxy_integration.event(request, self.id, match.resource.path, match.parameters)
        if method.get("AuthorizationType") == "CUSTOM":
            authorizer, properties = self._authorizers[method["AuthorizerId"]]
            role, function = properties.get("AuthorizerCredentials"), authorizer.function
            if not self._may_invoke(role, self._arn(request), function):
                raise GatewayError("AUTHORIZER_CONFIGURATION_ERROR")
            context = authorizer.context(
                {"type": "REQUEST", "methodArn": self._arn(request), **common}
            )
            common["requestContext"]["authorizer"] = context
        return self._invoke(method["Integration"], request, common, executor)

    def _invoke(
        self,
        integration: dict[str, Any],
        request: proxy_integration.Request,
        common: dict[str, Any],
        executor: ThreadPoolExecutor,
    ) -> Response:
        event = proxy_integration.with_body(common, request.body, binary=self._binary)
        function = function_of(integration["Uri"])
        if not self._may_invoke(integration.get("Credentials"), self._arn(request), function):
            raise GatewayError("API_CONFIGURATION_ERROR")
        future = executor.submit(self._functions.invoke, function, json.dumps(event).encode())
        try:
            outcome = future.result(integration.get("TimeoutInMillis", DEFAULT_TIMEOUT) / 1000)
        except TimeoutError:
            raise GatewayError("INTEGRATION_TIMEOUT") from None
        except UnknownFunctionError:
            raise GatewayError("API_CONFIGURATION_ERROR") from None
        except TooLargeError:
            # That Lambda's refusal becomes this response is an assumption.
            raise GatewayError("REQUEST_TOO_LARGE") from None
        if outcome.error:
            raise GatewayError("DEFAULT_5XX")
        return proxy_integration.response(outcome.payload, request.request_id, binary=self._binary)

    def _arn(self, request: proxy_integration.Request) -> str:
        api = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{self.id}"
        return f"{api}/{request.stage}/{request.method}{request.path or '/'}"


class ApiGateway:
    """Serves the deployed API at `url`, followed by `/` and its stage."""

    def __init__(
        self, stacks: Stacks, functions: Functions, may_invoke: MayInvoke, port: int = 0
    ) -> None:
        self._stacks = stacks
        self._may_invoke = may_invoke
        self._functions = functions
        self._executor = ThreadPoolExecutor(64, "integration")
        self._lock = threading.Lock()
        self._changes_seen = -1
        self._api: RestApi | None = None
        self._server = _Server(port, self.answer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    @property
    def url(self) -> str:
        """Return the address, without the stage."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request: proxy_integration.Request) -> Response:
        """Return the response to one request; 403 if no API has this stage, as on AWS."""
        api = self._deployed()
        if api is None or request.stage not in api.stages:
            body = b'{"message":"Forbidden"}'
            return Response(403, [("Content-Type", "application/json")], body)
        return api.answer(request, self._executor)

    def _deployed(self) -> RestApi | None:
        """Return the API, rebuilt when a stack has changed; None if none is deployed."""
        with self._lock, self._stacks.lock:
            if self._changes_seen != self._stacks.changes:
                everything = self._stacks.all()
                apis = [r for r in everything if r.kind == "AWS::ApiGateway::RestApi"]
                self._api = (
                    RestApi(apis[0], everything, self._functions, self._may_invoke)
                    if apis
                    else None
                )
                self._changes_seen = self._stacks.changes
            return self._api


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, answer: Callable[[proxy_integration.Request], Response]) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 120
    server: _Server

    def __getattr__(self, name: str) -> Any:
        # Any method is accepted here: the API decides.
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def _handle(self) -> None:
        body = self._body()
        split = urlsplit(self.path)
        stage, slash, path = split.path.removeprefix("/").partition("/")
        request = proxy_integration.Request(
            method=self.command,
            stage=stage,
            path=slash + path,
            query=split.query,
            headers=[*self.headers.items(), *self._forwarded()],
            body=body,
            source_ip=self.client_address[0],
            request_id=str(uuid.uuid4()),
        )
        self._send(self.server.answer(request))

    def _forwarded(self) -> list[tuple[str, str]]:
        """Return the headers that API Gateway adds."""
        return [
            ("X-Forwarded-For", self.client_address[0]),
            ("X-Forwarded-Port", str(self.server.server_port)),
            ("X-Forwarded-Proto", "http"),
        ]

    def _body(self) -> bytes | None:
        length = int(self.headers.get("Content-Length", 0))
        if length <= MAX_BODY:
            return self.rfile.read(length)
        # Read it all: most clients read the response only after sending everything.
        while length > 0 and (chunk := self.rfile.read(min(length, 1 << 20))):
            length -= len(chunk)
        return None

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def log_message(self, *_words: object) -> None:
        pass
