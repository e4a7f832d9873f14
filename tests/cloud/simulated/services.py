"""moto over HTTP: S3, DynamoDB, SSM, SNS, IAM, CloudFormation, Lambda's registry and the rest.

All of it lives in one account of its own, so that nothing else in this process that uses moto sees
it or is seen. What moto cannot do, others do before it: see `doors`.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any, Self

import moto.backends
from moto.core.base_backend import BackendDict
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from tests.cloud.sagemaker.account import ACCOUNT, REGION

_FORM = "application/x-www-form-urlencoded"

Door = Callable[[Request], Response | None]
"""Answers a request, or leaves it to the next one."""


class Services:
    """moto's services at `url`, until `close`.

    `lock` is held while moto works: its dictionaries do not bear changes while another thread walks
    over them. `doors` are asked first, without it, because they may take long and lead back here.
    `afterwards` is called in the thread of each request that moto has answered, without it too.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.doors: list[Door] = []
        self.afterwards: Callable[[], None] = lambda: None
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet
        )
        self._server.daemon_threads = True
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
        with self.lock:
            for backends in BackendDict._instances:
                if ACCOUNT in backends:
                    backends.pop(ACCOUNT).reset()

    @property
    def url(self) -> str:
        # By this name, because moto tells services apart by host and knows no bare addresses.
        return f"http://localhost:{self._server.server_port}"

    def environment(self) -> dict[str, str]:
        """What leads botocore here, in this process or another."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "simulated",
            "AWS_SECRET_ACCESS_KEY": "simulated",
        }

    @staticmethod
    def backend(service: str) -> Any:
        """moto's own object behind a service; to be used with `lock`."""
        return moto.backends.get_backend(service)[ACCOUNT][REGION]

    def _answer(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        for door in self.doors:
            response = door(request)
            if response is not None:
                return response(environ, start_response)
        if request.method == "PUT" and request.mimetype == _FORM:
            # moto would take the body of an object for a form, and keep an empty one.
            del environ["CONTENT_TYPE"]
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = ACCOUNT
        with self.lock:
            pieces = list(self._moto(environ, start_response))
        self.afterwards()
        return pieces


class _Quiet(WSGIRequestHandler):
    def log(self, *_words: object) -> None:
        pass
