"""One process of one Lambda function, and the Runtime API that it polls.

The process runs AWS's own runtime client and takes one invocation at a time. Knows neither the
source of the code nor the number of processes.
"""

import importlib.util
import json
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class MissingRuntimeError(Exception):
    """Raised when a module of AWS's runtime is not installed."""


INIT_TIMEOUT = 60.0
"""Seconds from the start of a process to its first poll. AWS allows 10, on its machines."""

_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")

_PROVIDED = (
    "awslambdaric",
    "boto3",
    "botocore",
    "dateutil",
    "jmespath",
    "runtime_client",
    "s3transfer",
    "simplejson",
    "six",
    "snapshot_restore_py",
    "urllib3",
)
"""The modules of AWS's runtime for Python; `runtime_client` belongs to `awslambdaric`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an invocation; `error` as in Lambda's header `X-Amz-Function-Error`."""

    payload: bytes
    error: str = ""

    @classmethod
    def failed(cls, message: str, kind: str = "Runtime.ExitError") -> "Outcome":
        """Return an error that the function did not report itself."""
        error = {"errorType": kind, "errorMessage": message}
        return cls(json.dumps(error).encode(), "Unhandled")


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of a function; `folder` is its package, `timeout` in seconds."""

    name: str
    arn: str
    handler: str
    timeout: float
    memory: int
    folder: Path
    role: str
    environment: Mapping[str, str]


def link_runtime(folder: Path) -> None:
    """Link the modules of AWS's runtime into `folder`, from this Python's packages.

    Raises:
        MissingRuntimeError: one of them is not installed here.

    """
    for name in _PROVIDED:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise MissingRuntimeError(
                f"{name} is not installed. It comes with: pip install -e '.[dev]'. AWS's runtime "
                "client needs Linux; elsewhere run the simulated cloud in a Linux container."
            )
        origin = Path(spec.origin)
        source = origin.parent if spec.submodule_search_locations else origin
        (folder / source.name).symlink_to(source)


class FunctionProcess:
    """A process that handles invocations one by one; started at once.

    `log` receives each line of its output.
    """

    def __init__(self, settings: Settings, runtime: Path, log: Callable[[str], None]) -> None:
        self._settings = settings
        self._log = log
        self._invocations: queue.SimpleQueue[_Invocation | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._ready = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _runtime_api(self))
        self._server.daemon_threads = True
        serve, options = self._server.serve_forever, {"poll_interval": 0.05}
        threading.Thread(target=serve, kwargs=options, daemon=True).start()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_BOOTSTRAP), str(runtime), settings.handler],
            cwd=settings.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C in a terminal is for our own process, which stops this one in order.
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read_output, daemon=True)
        self._reader.start()

    def invoke(self, payload: bytes) -> Outcome:
        """Wait for the outcome. A function that exceeds its timeout is killed."""
        if not self._ready.wait(INIT_TIMEOUT) and self.alive:
            self.close()
            return Outcome.failed("the process was not ready in time", "Runtime.InitError")
        timeout = self._settings.timeout
        if self.alive:
            self._invocations.put(_Invocation(payload, self._settings.arn, timeout))
        try:
            return self._outcomes.get(timeout=timeout)
        except queue.Empty:
            self.close()
            return Outcome.failed(f"Task timed out after {timeout:.2f} seconds", "Sandbox.Timedout")

    @property
    def alive(self) -> bool:
        """Return whether it can take another invocation."""
        return self._process.poll() is None

    def close(self) -> None:
        """Kill it. A running invocation is lost, as on AWS."""
        self._process.kill()
        self._process.wait()
        if threading.current_thread() is not self._reader:
            self._reader.join()
        self._invocations.put(None)
        self._server.shutdown()
        self._server.server_close()

    def _environment(self) -> dict[str, str]:
        settings = self._settings
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            **settings.environment,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info[0]}.{sys.version_info[1]}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.memory),
            "AWS_LAMBDA_FUNCTION_NAME": settings.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{settings.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": uuid.uuid4().hex,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "LAMBDA_TASK_ROOT": str(settings.folder),
            "_HANDLER": settings.handler,
        }

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._log(line.decode(errors="replace").rstrip("\n"))
        code = self._process.wait()
        self._outcomes.put(Outcome.failed(f"Runtime exited with status {code}"))
        self._ready.set()

    # ── Called by the Runtime API ───────────────────────────────────────────────────────────────

    def next(self) -> "_Invocation | None":
        """Wait for the next invocation; None after `close`."""
        self._ready.set()
        return self._invocations.get()

    def finished(self, outcome: Outcome) -> None:
        """Record the outcome that the process reported."""
        self._outcomes.put(outcome)


class _Invocation:
    def __init__(self, payload: bytes, arn: str, timeout: float) -> None:
        self.payload = payload
        self.headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": str(uuid.uuid4()),
            # Rounded down: a function never sees more than its timeout.
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + timeout) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}",
        }


def _runtime_api(process: FunctionProcess) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            invocation = process.next()
            if invocation is None:
                self.close_connection = True
                return
            self._answer(200, invocation.payload, invocation.headers)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            failed = self.path.endswith("/error")
            process.finished(Outcome(body, "Unhandled" if failed else ""))
            self._answer(202, b'{"status": "OK"}', {"Content-Type": "application/json"})

        def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            pass

    return Handler
