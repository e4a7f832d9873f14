"""API Gateway: the REST API that is deployed, answered over HTTP on a loopback port.

Routes, authorizers, integrations, gateway responses and the stage are those of the deployed
template, as it is now: deployments are not kept apart from it. Knows none of ours.
"""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, TimeoutError  # noqa: A004 (the same since 3.11)
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from simulator.api_gateway import proxy_integration, routes
from simulator.api_gateway.authorizers import Authorizer, function_of
from simulator.api_gateway.gateway_responses import GatewayError, Refusals, Response
from simulator.cloudformation.stacks import Resource, Stacks
from simulator.lambda_runtime.functions import Functions, UnknownFunctionError
from simulator.sagemaker.account import ACCOUNT, REGION

LARGEST_BODY = 10 * 1024 * 1024
DEFAULT_TIMEOUT = 29_000
"""Milliseconds; the most that an API has without asking AWS for more."""


class RestApi:
    """One deployed API."""

    def __init__(self, api: Resource, resources: list[Resource], functions: Functions) -> None:
        self.id = api.physical_id
        of = [r for r in resources if r.properties.get("RestApiId") == self.id]
        self.stages = {r.properties["StageName"] for r in of if r.kind == "AWS::ApiGateway::Stage"}
        self._root = routes.tree(self.id, resources)
        self._refusals = Refusals(r for r in of if r.kind == "AWS::ApiGateway::GatewayResponse")
        self._authorizers = {
            r.physical_id: Authorizer(r.properties, functions.invoke)
            for r in of
            if r.kind == "AWS::ApiGateway::Authorizer"
        }
        self._binary = "*/*" in api.properties.get("BinaryMediaTypes", [])
        self._functions = functions

    def answer(self, asked: proxy_integration.Asked, waiting: ThreadPoolExecutor) -> Response:
        """The response to one request, whatever goes wrong."""
        try:
            return self._answer(asked, waiting)
        except GatewayError as error:
            return self._refusals.response(error.kind, asked.request_id)

    def _answer(self, asked: proxy_integration.Asked, waiting: ThreadPoolExecutor) -> Response:
        if asked.body is None:
            raise GatewayError("REQUEST_TOO_LARGE")
        found = routes.find(self._root, asked.path)
        method = found and found.resource.method(asked.method)
        if found is None or method is None:
            raise GatewayError("MISSING_AUTHENTICATION_TOKEN")
        common = proxy_integration.event(asked, self.id, found.resource.path, found.parameters)
        if method.get("AuthorizationType") == "CUSTOM":
            authorizer = self._authorizers[method["AuthorizerId"]]
            context = authorizer.context(
                {"type": "REQUEST", "methodArn": self._arn(asked), **common}
            )
            common["requestContext"]["authorizer"] = context
        return self._integrated(method["Integration"], asked, common, waiting)

    def _integrated(
        self,
        integration: dict[str, Any],
        asked: proxy_integration.Asked,
        common: dict[str, Any],
        waiting: ThreadPoolExecutor,
    ) -> Response:
        event = proxy_integration.encoded(
            proxy_integration.with_body(common, asked.body, binary=self._binary)
        )
        function = function_of(integration["Uri"])
        outcome = waiting.submit(self._functions.invoke, function, event)
        try:
            done = outcome.result(integration.get("TimeoutInMillis", DEFAULT_TIMEOUT) / 1000)
        except TimeoutError:
            raise GatewayError("INTEGRATION_TIMEOUT") from None
        except UnknownFunctionError:
            raise GatewayError("API_CONFIGURATION_ERROR") from None
        if done.error:
            raise GatewayError("DEFAULT_5XX")
        return proxy_integration.response(done.payload, asked.request_id, binary=self._binary)

    def _arn(self, asked: proxy_integration.Asked) -> str:
        where = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{self.id}"
        return f"{where}/{asked.stage}/{asked.method}{asked.path or '/'}"


class Gateway:
    """Serves the deployed API at `url`, followed by `/` and its stage."""

    def __init__(self, stacks: Stacks, functions: Functions, port: int = 0) -> None:
        self._stacks = stacks
        self._functions = functions
        self._waiting = ThreadPoolExecutor(64, "integration")
        self._lock = threading.Lock()
        self._seen = -1
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
        self._waiting.shutdown(wait=False, cancel_futures=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, asked: proxy_integration.Asked) -> Response:
        """The response to one request; 403 where no API has such a stage, as AWS says it."""
        api = self._deployed()
        if api is None or asked.stage not in api.stages:
            body = b'{"message":"Forbidden"}'
            return Response(403, [("Content-Type", "application/json")], body)
        return api.answer(asked, self._waiting)

    def _deployed(self) -> RestApi | None:
        """Made anew when a stack has changed."""
        with self._lock, self._stacks.lock:
            if self._seen != self._stacks.changes:
                everything = self._stacks.all()
                apis = [r for r in everything if r.kind == "AWS::ApiGateway::RestApi"]
                self._api = RestApi(apis[0], everything, self._functions) if apis else None
                self._seen = self._stacks.changes
            return self._api


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, answer: Callable[[proxy_integration.Asked], Response]) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 120
    server: _Server

    def __getattr__(self, name: str) -> Any:
        # `do_POST` and whatever else may be sent: the API decides what it takes.
        if name.startswith("do_"):
            return self._any
        raise AttributeError(name)

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def _any(self) -> None:
        body = self._body()
        split = urlsplit(self.path)
        stage, slash, path = split.path.removeprefix("/").partition("/")
        asked = proxy_integration.Asked(
            method=self.command,
            stage=stage,
            path=slash + path,
            query=split.query,
            headers=[*self.headers.items(), *self._forwarded()],
            body=body,
            source_ip=self.client_address[0],
            request_id=str(uuid.uuid4()),
        )
        self._send(self.server.answer(asked))

    def _forwarded(self) -> list[tuple[str, str]]:
        """What API Gateway says of how the request came to it."""
        return [
            ("X-Forwarded-For", self.client_address[0]),
            ("X-Forwarded-Port", str(self.server.server_port)),
            ("X-Forwarded-Proto", "http"),
        ]

    def _body(self) -> bytes | None:
        length = int(self.headers.get("Content-Length", 0))
        if length <= LARGEST_BODY:
            return self.rfile.read(length)
        # Most clients listen only when they have sent everything.
        while length > 0 and (piece := self.rfile.read(min(length, 1 << 20))):
            length -= len(piece)
        return None

    def _send(self, said: Response) -> None:
        self.send_response(said.status)
        for name, value in said.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said.body)

    def log_message(self, *_words: object) -> None:
        pass
