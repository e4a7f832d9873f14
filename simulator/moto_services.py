"""moto over HTTP: S3, DynamoDB, SSM, SNS, SQS, IAM, CloudFormation, Lambda's registry and more.

All in an account of its own, separate from anything else in this process that uses moto. Requests
that moto cannot answer are taken by `handlers` before it.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any, Self

import moto.backends
from moto.core.base_backend import BackendDict
from werkzeug.wrappers import Request, Response

from simulator.moto_server import Moto, Server
from simulator.sagemaker.account import ACCOUNT, REGION

_FORM = "application/x-www-form-urlencoded"

Handler = Callable[[Request], Response | None]
"""Answers a request, or returns None to leave it to the next handler."""


class MotoServices:
    """moto's services at `url`, while entered.

    `lock` is held during moto's calls: its dictionaries must not change while another thread
    iterates over them. `handlers` are called first, without the lock: they may take long and call
    back here. `after_request` is called in the thread of each request that moto has answered,
    without the lock too.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.handlers: list[Handler] = []
        self.after_request: Callable[[], None] = lambda: None
        self._moto = Moto()
        self._server = Server(self._answer)
        self.url = self._server.url

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(*error)
        with self.lock:
            for backends in BackendDict._instances:
                if ACCOUNT in backends:
                    backends.pop(ACCOUNT).reset()

    def environment(self) -> dict[str, str]:
        """Return the variables that direct botocore here, in any process."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "simulated",
            "AWS_SECRET_ACCESS_KEY": "simulated",
        }

    @staticmethod
    def backend(service: str, region: str = REGION) -> Any:
        """Return moto's backend of a service; use it with `lock` held. Global ones: `aws`."""
        return moto.backends.get_backend(service)[ACCOUNT][region]

    def _answer(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        for handler in self.handlers:
            response = handler(request)
            if response is not None:
                return response(environ, start_response)
        if request.method == "PUT" and request.mimetype == _FORM:
            # moto would parse the object's body as a form and store an empty one.
            del environ["CONTENT_TYPE"]
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = ACCOUNT
        with self.lock:
            pieces = list(self._moto(environ, start_response))
        self.after_request()
        return pieces
