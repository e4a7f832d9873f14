"""Lambda's functions, as registered with moto, each run in processes of its own.

Processes stay warm and are reused; a function whose code or configuration has changed gets new
ones.
"""

import contextlib
import io
import json
import logging
import threading
import zipfile
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, Self
from urllib.parse import unquote

from moto.awslambda.exceptions import UnknownFunctionException
from werkzeug.wrappers import Request, Response

from simulator.iam.call import Call
from simulator.lambda_runtime.process import FunctionProcess, Outcome, Settings, link_runtime
from simulator.moto_services import MotoServices

MAX_PROCESSES = 4
"""Per function; AWS starts a thousand. Further invocations wait for a free one."""

MAX_PAYLOAD = 6 * 1024 * 1024
"""Bytes of a request that waits for its response, and of the response (Lambda's quotas)."""

MAX_LOG_LINES = 5000
"""Lines of output kept for each function."""

_LOG = logging.getLogger(__name__)


class Roles(Protocol):
    """IAM, as far as Lambda needs it."""

    def session(self, role: str, name: str) -> str:
        """Return the access key of a role's session."""

    def permits(self, role: str, name: str, call: Call) -> bool:
        """Return whether the session may make a call."""


class UnknownFunctionError(Exception):
    """Raised when no function has this name."""


class TooLargeError(Exception):
    """Raised for a request of more than MAX_PAYLOAD."""


class Functions:
    """All functions of the cloud; `environment` is added to each one's own variables.

    Each runs with the credentials of its role, from `roles`; its output is kept only if the role
    may write it to the function's log group. `log` receives a function's name and each line that
    it prints.
    """

    def __init__(
        self,
        services: MotoServices,
        environment: Mapping[str, str],
        roles: Roles,
        log: Callable[[str, str], None] = lambda _name, _line: None,
    ) -> None:
        self._services = services
        self._environment = environment
        self._roles = roles
        self._log = log
        self._folder = TemporaryDirectory(prefix="simulated-lambda-")
        self._pools: dict[str, _Pool] = {}
        self._lock = threading.Lock()
        self._logs: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=MAX_LOG_LINES))
        self._running: set[threading.Thread] = set()
        self._closing = False
        self._suspended: set[str] = set()

    def __enter__(self) -> Self:
        self._runtime.mkdir()
        link_runtime(self._runtime)
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing = True
        for pool in list(self._pools.values()):
            pool.close()
        for thread in list(self._running):
            thread.join(10)
        self._folder.cleanup()

    def invoke(self, name: str, payload: bytes) -> Outcome:
        """Invoke a function and return its outcome. `name` may be an ARN.

        Raises:
            UnknownFunctionError: there is no such function.
            TooLargeError: the payload exceeds Lambda's limit.

        """
        name = name.rpartition(":function:")[2] or name
        if name in self._suspended:
            return Outcome.failed("Rate Exceeded.", "TooManyRequestsException")
        pool = self._pool(name)
        if len(payload) > MAX_PAYLOAD:
            raise TooLargeError
        if self._closing:
            return Outcome.failed("the cloud is closing")
        outcome = pool.invoke(payload)
        if len(outcome.payload) > MAX_PAYLOAD:
            why = f"Response payload size exceeded the maximum of {MAX_PAYLOAD} bytes."
            return Outcome.failed(why, "Function.ResponseSizeTooLarge")
        return outcome

    def start(self, name: str, payload: bytes) -> None:
        """Invoke a function without waiting. A failed invocation is logged, not retried.

        Raises:
            UnknownFunctionError: there is no such function.

        """
        name = name.rpartition(":function:")[2] or name
        if name in self._suspended:
            return
        self._pool(name)
        thread = threading.Thread(target=self._run, args=(name, payload), name=f"start {name}")
        with self._lock:
            if self._closing:
                return
            self._running.add(thread)
        thread.start()

    @contextlib.contextmanager
    def suspended(self, name: str) -> Iterator[None]:
        """Run a function not at all, as with a reserved concurrency of 0.

        Its processes end now. Invocations that wait for an answer are throttled; the others are
        lost, as after their retries.
        """
        self._suspended.add(name)
        with self._lock:
            pool = self._pools.pop(name, None)
        if pool is not None:
            pool.close()
        try:
            yield
        finally:
            self._suspended.discard(name)

    def logs(self, name: str) -> list[str]:
        """Return the last lines of a function's output."""
        return list(self._logs[name])

    def handle(self, request: Request) -> Response | None:
        """Answer Lambda's Invoke, as boto3 sends it; None for any other request."""
        before, _, name = request.path.removesuffix("/invocations").rpartition("/")
        if before != "/2015-03-31/functions" or not request.path.endswith("/invocations"):
            return None
        name, payload = unquote(name), request.get_data() or b"{}"
        try:
            if request.headers.get("X-Amz-Invocation-Type") == "Event":
                self.start(name, payload)
                return Response(status=202)
            outcome = self.invoke(name, payload)
        except UnknownFunctionError:
            error = {"Type": "User", "Message": f"Function not found: {name}"}
            headers = {"x-amzn-ErrorType": "ResourceNotFoundException"}
            return Response(json.dumps(error), 404, headers, mimetype="application/json")
        except TooLargeError:
            why = (
                f"Request must be smaller than {MAX_PAYLOAD} bytes for the InvokeFunction operation"
            )
            headers = {"x-amzn-ErrorType": "RequestTooLargeException"}
            body = json.dumps({"Type": "User", "message": why})
            return Response(body, 413, headers, mimetype="application/json")
        headers = {"X-Amz-Executed-Version": "$LATEST"}
        if outcome.error:
            headers["X-Amz-Function-Error"] = outcome.error
        return Response(outcome.payload, 200, headers, mimetype="application/json")

    def _run(self, name: str, payload: bytes) -> None:
        try:
            outcome = self.invoke(name, payload)
            if outcome.error and not self._closing:
                _LOG.warning("%s failed: %s", name, outcome.payload.decode(errors="replace"))
        except UnknownFunctionError:
            _LOG.info("%s was deleted before it could run", name)
        finally:
            with self._lock:
                self._running.discard(threading.current_thread())

    def _record_output(self, name: str, line: str) -> None:
        self._logs[name].append(line)
        self._log(name, line)

    @property
    def _runtime(self) -> Path:
        return Path(self._folder.name) / "runtime"

    def _pool(self, name: str) -> "_Pool":
        settings = self._settings(name)
        with self._lock:
            pool = self._pools.get(name)
            if pool is not None and pool.settings == settings:
                return pool
            log = partial(self._record_output, name) if self._may_log(settings) else _discard
            new = _Pool(settings, self._runtime, log)
            self._pools[name] = new
        if pool is not None:
            pool.retire()
        return new

    def _settings(self, name: str) -> Settings:
        with self._services.lock:
            try:
                function: Any = self._services.backend("lambda").get_function(name)
            except UnknownFunctionException:
                raise UnknownFunctionError(name) from None
            folder = self._unpacked(function)
            return Settings(
                name=function.function_name,
                arn=function.function_arn,
                handler=function.handler,
                timeout=float(function.timeout),
                memory=int(function.memory_size),
                folder=folder,
                role=function.role,
                environment={
                    **function.environment_vars,
                    **self._environment,
                    "AWS_ACCESS_KEY_ID": self._roles.session(function.role, name),
                },
            )

    def _may_log(self, settings: Settings) -> bool:
        group = {"logGroupName": f"/aws/lambda/{settings.name}"}
        stream = {**group, "logStreamName": f"$LATEST/{settings.name}"}
        return all(
            self._roles.permits(settings.role, settings.name, Call("logs", operation, stream))
            for operation in ("CreateLogStream", "PutLogEvents")
        )

    def _unpacked(self, function: Any) -> Path:
        """Unpack its package once, with the services' `lock` held: no reader sees a part of it."""
        digest = "".join(c if c.isalnum() else "_" for c in function.code_sha_256)
        folder = Path(self._folder.name) / digest
        if not folder.exists():
            with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as package:
                package.extractall(folder)
        return folder


def _discard(_line: str) -> None:
    """Lose a line, as Lambda does where a role may not write logs."""


class _Pool:
    """The processes of one function in one configuration."""

    def __init__(self, settings: Settings, runtime: Path, log: Callable[[str], None]) -> None:
        self.settings = settings
        self._runtime = runtime
        self._log = log
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(MAX_PROCESSES)
        self._idle: list[FunctionProcess] = []
        self._all: set[FunctionProcess] = set()
        self._retired = False

    def invoke(self, payload: bytes) -> Outcome:
        with self._slots:
            process = self._take()
            try:
                return process.invoke(payload)
            finally:
                self._give_back(process)

    def _take(self) -> FunctionProcess:
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.alive:
                    return process
                self._all.discard(process)
                process.close()
            process = FunctionProcess(self.settings, self._runtime, self._log)
            self._all.add(process)
            return process

    def _give_back(self, process: FunctionProcess) -> None:
        with self._lock:
            if process.alive and not self._retired:
                self._idle.append(process)
                return
            self._all.discard(process)
        process.close()

    def retire(self) -> None:
        """Stop idle processes now, the others when they have finished."""
        with self._lock:
            self._retired = True
            idle, self._idle = self._idle, []
            self._all.difference_update(idle)
        for process in idle:
            process.close()

    def close(self) -> None:
        """Stop all processes now."""
        self.retire()
        with self._lock:
            remaining, self._all = self._all, set()
        for process in remaining:
            with contextlib.suppress(OSError):
                process.close()
