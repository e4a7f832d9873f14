"""Lambda: functions as they are registered with moto, run in processes of their own.

Processes stay warm and are used again; a function whose code or configuration has changed gets new
ones. Knows moto's registry and the processes; not what functions do.
"""

import contextlib
import io
import json
import logging
import threading
import zipfile
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from urllib.parse import unquote

from moto.awslambda.exceptions import UnknownFunctionException
from werkzeug.wrappers import Request, Response

from simulator.lambda_runtime.process import Outcome, Settings, Worker, link_runtime
from simulator.moto_services import Services

MOST_PROCESSES = 4
"""Of one function at once; AWS starts a thousand. More invocations wait for one to be free."""

LINES_KEPT = 5000
"""Of each function's output."""

_LOG = logging.getLogger(__name__)


class UnknownFunctionError(Exception):
    """There is no function of this name."""


class Functions:
    """All functions of the cloud. `environment` is added to each one's own variables.

    `show` gets each line that a function prints, after the function's name.
    """

    def __init__(
        self,
        services: Services,
        environment: Mapping[str, str],
        show: Callable[[str, str], None] = lambda _name, _line: None,
    ) -> None:
        self._services = services
        self._environment = environment
        self._show = show
        self._folder = TemporaryDirectory(prefix="simulated-lambda-")
        self._pools: dict[str, _Pool] = {}
        self._lock = threading.Lock()
        self._logs: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=LINES_KEPT))
        self._running: set[threading.Thread] = set()
        self._closing = False

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
        """Wait for the function's outcome. `name` may be an ARN.

        Raises:
            UnknownFunctionError: there is none.

        """
        pool = self._pool(name.rpartition(":function:")[2] or name)
        return Outcome.failed("the cloud is closing") if self._closing else pool.invoke(payload)

    def start(self, name: str, payload: bytes) -> None:
        """Invoke it and do not wait. What becomes of it is in its output; it is not repeated.

        Raises:
            UnknownFunctionError: there is none.

        """
        self._pool(name.rpartition(":function:")[2] or name)
        thread = threading.Thread(target=self._run, args=(name, payload), name=f"start {name}")
        with self._lock:
            if self._closing:
                return
            self._running.add(thread)
        thread.start()

    def logs(self, name: str) -> list[str]:
        """The last lines of a function's output."""
        return list(self._logs[name])

    def busy(self) -> bool:
        """Whether anything runs that was started and not waited for."""
        return bool(self._running)

    def door(self, request: Request) -> Response | None:
        """Lambda's Invoke, as boto3 sends it."""
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
            said = {"Type": "User", "Message": f"Function not found: {name}"}
            headers = {"x-amzn-ErrorType": "ResourceNotFoundException"}
            return Response(json.dumps(said), 404, headers, mimetype="application/json")
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

    def _printed(self, name: str, line: str) -> None:
        self._logs[name].append(line)
        self._show(name, line)

    @property
    def _runtime(self) -> Path:
        return Path(self._folder.name) / "runtime"

    def _pool(self, name: str) -> "_Pool":
        settings = self._settings(name)
        with self._lock:
            pool = self._pools.get(name)
            if pool is not None and pool.settings == settings:
                return pool
            fresh = _Pool(settings, self._runtime, partial(self._printed, name))
            self._pools[name] = fresh
        if pool is not None:
            pool.retire()
        return fresh

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
                environment={**function.environment_vars, **self._environment},
            )

    def _unpacked(self, function: Any) -> Path:
        """Its package. Held by `lock` of the services, so nobody sees a half of it."""
        digest = "".join(c if c.isalnum() else "_" for c in function.code_sha_256)
        folder = Path(self._folder.name) / digest
        if not folder.exists():
            with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as package:
                package.extractall(folder)
        return folder


class _Pool:
    """The processes of one function in one configuration."""

    def __init__(self, settings: Settings, runtime: Path, say: Callable[[str], None]) -> None:
        self.settings = settings
        self._runtime = runtime
        self._say = say
        self._lock = threading.Lock()
        self._free = threading.Semaphore(MOST_PROCESSES)
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._retired = False

    def invoke(self, payload: bytes) -> Outcome:
        with self._free:
            worker = self._taken()
            try:
                return worker.invoke(payload)
            finally:
                self._give_back(worker)

    def _taken(self) -> Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                self._all.discard(worker)
                worker.close()
            worker = Worker(self.settings, self._runtime, self._say)
            self._all.add(worker)
            return worker

    def _give_back(self, worker: Worker) -> None:
        with self._lock:
            if worker.alive and not self._retired:
                self._idle.append(worker)
                return
            self._all.discard(worker)
        worker.close()

    def retire(self) -> None:
        """Idle processes end now, the others when they have finished."""
        with self._lock:
            self._retired = True
            idle, self._idle = self._idle, []
            self._all.difference_update(idle)
        for worker in idle:
            worker.close()

    def close(self) -> None:
        """All end now."""
        self.retire()
        with self._lock:
            remaining, self._all = self._all, set()
        for worker in remaining:
            with contextlib.suppress(OSError):
                worker.close()
