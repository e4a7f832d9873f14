"""The server: a strict SageMaker on a loopback port, for tests and for the simulated cloud.

    with SageMakerSimulator(now=clock.now) as sagemaker:
        sagemaker.add_config("flan-g5", "ml.g5.12xlarge")
        client = sagemaker.client()

Both protocols are served on one address. Time is the result of `now`.
"""

import threading
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import boto3
from botocore.config import Config

from simulator.sagemaker.account import ACCOUNT, REGION, Account
from simulator.sagemaker.containers import Launch, canned
from simulator.sagemaker.control_plane import ControlPlane
from simulator.sagemaker.endpoint import Delays
from simulator.sagemaker.faults import Faults
from simulator.sagemaker.messages import Answer, Request
from simulator.sagemaker.models import ROLE
from simulator.sagemaker.refusals import DroppedError
from simulator.sagemaker.runtime import Runtime

IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/model:1"
CREDENTIALS = {"aws_access_key_id": "simulated", "aws_secret_access_key": "simulated"}

ONE_ATTEMPT = Config(
    connect_timeout=5, read_timeout=70, retries={"total_max_attempts": 1, "mode": "standard"}
)


class SageMakerSimulator:
    """SageMaker in this process.

    `account` holds rules and state, `faults` the failures to inject, `bugs` every exception that
    was answered with 500: a correct test has none.
    """

    def __init__(
        self,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        launch: Launch = canned,
        delays: Delays = Delays(),  # noqa: B008 (frozen)
        answer_within: float = 60.0,
    ) -> None:
        self.faults = Faults()
        self.account = Account(now, launch, delays, self.faults)
        self.account.images.add(IMAGE)
        self.bugs: list[Exception] = []
        self._control = ControlPlane(self.account)
        self._elsewhere: dict[str, Account] = {}
        self._new_account = partial(Account, now, launch, delays)
        self._runtime = Runtime(self.account, answer_within)
        self._clients: dict[tuple[str, Config], Any] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        for client in self._clients.values():
            client.close()
        self._server.shutdown()
        self._server.server_close()
        for account in (self.account, *self._elsewhere.values()):
            account.close()

    @property
    def url(self) -> str:
        """Return the address of both protocols."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def environment(self) -> dict[str, str]:
        """Return the variables that direct botocore here, in any process."""
        return {
            "AWS_ENDPOINT_URL_SAGEMAKER": self.url,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
        }

    def client(self, service: str = "sagemaker", config: Config = ONE_ATTEMPT) -> Any:
        """Return boto3's client of `sagemaker` or `sagemaker-runtime`, closed on exit."""
        if (service, config) not in self._clients:
            client = _session().client(service, endpoint_url=self.url, config=config)
            self._clients[service, config] = client
        return self._clients[service, config]

    def elsewhere(self, region: str) -> Account:
        """Return the account's endpoints in another region, none at first."""
        if region not in self._elsewhere:
            self._elsewhere[region] = self._new_account(Faults())
            self._elsewhere[region].images.add(IMAGE)
        return self._elsewhere[region]

    def add_config(self, name: str, instance_type: str, **more: Any) -> None:
        """Create a model and an EndpointConfig that hosts it, as a stack does."""
        client = self.client()
        client.create_model(
            ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE}
        )
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InstanceType": instance_type,
            "InitialInstanceCount": 1,
        }
        client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **more)

    def answer(self, request: Request) -> Answer:
        """Answer one request of either protocol.

        Raises:
            DroppedError: the answer is to be lost.

        """
        try:
            if "X-Amz-Target" in request.headers:
                signature = request.signature
                if signature is not None and signature.region != REGION:
                    return ControlPlane(self.elsewhere(signature.region)).answer(request)
                return self._control.answer(request)
            return self._runtime.answer(request)
        except DroppedError:
            raise
        except Exception as bug:  # noqa: BLE001 (recorded for the test)
            self.bugs.append(bug)
            return Answer(500, {}, repr(bug).encode())


_sessions = threading.local()


def _session() -> boto3.Session:
    """Return this thread's session: it caches the service models and is not thread-safe."""
    if not hasattr(_sessions, "session"):
        _sessions.session = boto3.Session(region_name=REGION, **CREDENTIALS)
    return _sessions.session


def _handler(simulator: SageMakerSimulator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                answer = simulator.answer(Request(self.path, self.headers, body))
            except DroppedError:
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if isinstance(answer.body, bytes):
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
            else:
                self._send_chunks(answer.body)

        def _send_chunks(self, chunks: Iterable[bytes]) -> None:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in chunks:
                self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_words: object) -> None:
            pass

    return Handler
