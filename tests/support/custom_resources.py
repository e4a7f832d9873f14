"""CloudFormation as a custom resource's function sees it: requests and the response URL."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class CloudFormation(HTTPServer):
    """A server that takes answers, after it refused the first `refuse` of them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.answers: list[dict[str, Any]] = []
        self.refuse = 0

    @property
    def last(self) -> dict[str, Any]:
        return self.answers[-1]


class _Answer(BaseHTTPRequestHandler):
    server: CloudFormation

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refused = self.server.refuse > 0
        if refused:
            self.server.refuse -= 1
        else:
            self.server.answers.append(json.loads(body))
        self.send_response(503 if refused else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing: the answers are recorded."""


@contextmanager
def cloudformation() -> Iterator[CloudFormation]:
    with CloudFormation() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def request(
    server: CloudFormation, kind: str, name: str = "flan-t5", minutes: str = "60"
) -> dict[str, Any]:
    """Return CloudFormation's request to the lifecycle function."""
    properties = {"Name": name, "InitialProvisionTimeMinutes": minutes}
    return {
        "RequestType": kind,
        "ResponseURL": f"http://127.0.0.1:{server.server_port}/signed?a=b",
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "FlanT5",
        "ResourceProperties": properties,
        **({"OldResourceProperties": properties} if kind == "Update" else {}),
        **({"PhysicalResourceId": name} if kind != "Create" else {}),
    }
