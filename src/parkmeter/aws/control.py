"""The Lambda behind every route but `POST /{api_resource}`: the control API on AWS.

Translates API Gateway's events for the web application and its answers back. The token comes from
the authorizer; rules and routes are elsewhere.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import datetime
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from mangum import Mangum

from parkmeter.api.app import control_app
from parkmeter.api.dependencies import ApiContext
from parkmeter.api.extend_routes import add_extend_routes
from parkmeter.api.log_routes import add_log_routes
from parkmeter.api.token_routes import add_audit_route, add_token_routes
from parkmeter.aws.async_inference.objects import s3_client
from parkmeter.aws.async_inference.prompts import AsyncPrompts
from parkmeter.aws.async_inference.routes import add_async_routes
from parkmeter.aws.async_inference.use import QueueUses
from parkmeter.aws.change_rate import CountedChanges
from parkmeter.aws.cloudwatch_counts import INSTANCE_MINUTES, CloudWatchCounts
from parkmeter.aws.cloudwatch_logs import CloudWatchLogs, log_group
from parkmeter.aws.definitions import REMEMBER_SECONDS, Definition, definitions
from parkmeter.aws.heartbeat import Heartbeat
from parkmeter.aws.last_use import UseNote
from parkmeter.aws.link_secret import LinkSecret
from parkmeter.aws.prompt import models_runtime
from parkmeter.aws.prompt_routes import add_prompt_routes
from parkmeter.aws.token_context import token_in
from parkmeter.aws.wiring import (
    PATIENCE,
    DistantClock,
    Environment,
    Ports,
    dynamodb,
    service_of,
)
from parkmeter.core.tokens import Token
from parkmeter.errors import TokenMissingError, TokenRefusedError
from parkmeter.service.audit import Audit
from parkmeter.service.tokens import TokenService
from parkmeter.stores.dynamodb import token_of
from parkmeter.web.asgi import Application, Receive, Scope, Send
from parkmeter.web.auth import secret_in

log = logging.getLogger(__name__)

_NO_TEXT_TYPE = "\0"
"""Matches no content type, so every body is sent as base64, whose size is known. As text in JSON
some characters take twice the space, and a result of 4 MB could exceed Lambda's limit."""


def handler(event: dict[str, Any], context: Any) -> Any:
    """Answer API Gateway's proxy event."""
    return control().answer(event, context)


@cache
def control() -> "Control":
    """Return the control API of this function, from its environment."""
    environment = Environment.read()
    plain = dynamodb()
    ssm = boto3.client("ssm", config=PATIENCE)
    ports = Ports.of(environment, plain, DistantClock.of(environment))
    # Created for the first prompt: most requests are not prompts, and creating clients is slow.
    runtime = cache(models_runtime)
    typed = cache(lambda: boto3.client("dynamodb", config=PATIENCE))
    prompts = cache(lambda: AsyncPrompts(s3_client(), runtime(), ports.clock.now))

    logs = cache(lambda: boto3.client("logs", config=PATIENCE))
    cloudwatch = cache(lambda: boto3.client("cloudwatch", config=PATIENCE))
    heartbeat = Heartbeat(plain, environment.tables.meters)
    link_secret = LinkSecret(plain, environment.tables.meters)
    book = AuthorizedBook(lambda secret: token_of(plain, environment.tables.auth, secret))

    @cache
    def used(name: str) -> Callable[[datetime], None]:
        return UseNote(typed(), environment.tables.meters, name).take

    def queues(found: Mapping[str, Definition]) -> QueueUses:
        endpoints = {name: one.queue.endpoint for name, one in found.items() if one.queue}
        return QueueUses(CloudWatchCounts(cloudwatch, endpoints, INSTANCE_MINUTES), found)

    def application(found: Mapping[str, Definition]) -> Application:
        context = ApiContext(
            service_of(ports, found),
            book,
            lambda name: found[name].api_resource,
            ports.clock.now,
            lambda: heartbeat.alive(ports.clock.now()),
            whole_servers=False,
            rate=CountedChanges(plain, environment.tables.meters, ports.clock.now),
            queue_use=lambda name, begin, end: queues(found).of(
                name, begin, end, ports.clock.now()
            ),
            requests=CloudWatchCounts(
                cloudwatch, {name: one.endpoint for name, one in found.items()}
            ),
        )
        app = control_app(context)
        names = tuple(found)
        add_token_routes(app, context, TokenService(ports.store, lambda: names, ports.clock.now))
        add_audit_route(app, context, Audit(ports.store, ports.clock.now))
        add_extend_routes(app, context, link_secret, ports.store.entry)
        groups = {name: log_group(one.endpoint) for name, one in found.items()}
        add_log_routes(app, context, CloudWatchLogs(logs, groups, ports.clock.now))
        add_async_routes(app, context, found, ports.store.load, prompts)
        add_prompt_routes(app, context, found, ports.store.load, runtime, used)
        return app

    return Control(book, lambda: definitions(ssm, environment.endpoints_path), application)


class AuthorizedBook:
    """Implements `web.auth.Book` from the authorizer's context, or from the table without one.

    `context`: the authorizer's context of the request that is being answered.
    """

    def __init__(self, find: Callable[[str], Token | None]) -> None:
        self._find = find
        self.context: ContextVar[Mapping[str, str] | None] = ContextVar("context", default=None)

    def check(self, header: str | None, now: datetime) -> Token:
        """See `web.auth.Book`."""
        token = token_in(self.context.get(), now)
        if token is not None:
            return token
        secret = secret_in(header)
        if not secret:
            raise TokenMissingError
        token = self._find(secret)
        if token is None or not token.alive(now):
            raise TokenRefusedError
        return token


class Control:
    """Answers events. The application is rebuilt when the definitions have changed.

    `read` reads the definitions, `make` builds the application over them; `ticks` is a monotonic
    clock.
    """

    def __init__(
        self,
        book: AuthorizedBook,
        read: Callable[[], dict[str, Definition]],
        make: Callable[[Mapping[str, Definition]], Application],
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book = book
        self._read = read
        self._make = make
        self._ticks = ticks
        self._read_at = float("-inf")
        self._definitions: dict[str, Definition] | None = None
        self._answer: Callable[[Any, Any], Any] | None = None
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        """Close the event loop."""
        asyncio.set_event_loop(None)
        self._loop.close()

    def answer(self, event: dict[str, Any], context: Any) -> Any:
        """Return the application's answer, in API Gateway's format."""
        answer = self._application()
        previous = self._book.context.set(event["requestContext"].get("authorizer"))
        try:
            return answer(event, context)
        finally:
            self._book.context.reset(previous)

    def _application(self) -> Callable[[Any, Any], Any]:
        # The adapter uses the thread's event loop; one that it creates itself could not be closed.
        asyncio.set_event_loop(self._loop)
        if self._answer is None or self._ticks() - self._read_at >= REMEMBER_SECONDS:
            found = self._found()
            self._read_at = self._ticks()
            if self._answer is None or found != self._definitions:
                self._definitions = found
                app = below_stage(self._make(found))
                self._answer = Mangum(app, lifespan="off", text_mime_types=[_NO_TEXT_TYPE])
        return self._answer

    def _found(self) -> dict[str, Definition]:
        try:
            return self._read()
        except (BotoCoreError, ClientError) as error:
            if self._definitions is None:
                raise
            log.warning("definitions cannot be read; the last known ones are used: %s", error)
            return self._definitions


def below_stage(app: Application) -> Any:
    """Wrap an application to set its root path: the path of API Gateway's event lacks the stage."""

    async def located(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        whole: str = scope["aws.event"]["requestContext"].get("path") or path
        root = whole.removesuffix(path).rstrip("/") if whole.endswith(path) else ""
        if path == "/" and not root and whole != "/":
            # The stage's root without a trailing slash: redirected to the one with it.
            root, path = whole, ""
        await app({**scope, "root_path": root, "path": root + path}, receive, send)

    return located


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # A function has more processor time while it is initialized than when it handles an event.
    control()
