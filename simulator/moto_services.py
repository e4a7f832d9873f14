"""moto over HTTP: S3, DynamoDB, SSM, SNS, IAM, CloudFormation, Lambda's registry and the rest.

All of it lives in one account of its own, so that nothing else in this process that uses moto sees
it or is seen. What moto cannot do, others do before it: see `doors`.
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
        """Moto's own object behind a service; to be used with `lock`."""
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
