"""The model server as a process of its own, and an HTTP client of the standard library."""

import json
import re
import signal
import subprocess
import sys
from http.client import HTTPConnection, HTTPResponse
from typing import Self

READY = re.compile(r"ready on 127\.0\.0\.1:(\d+) after")


class ServerProcess:
    """A server process; as a context manager it is ready inside and gone afterwards."""

    def __init__(self, *arguments: str, port: int = 0, env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "parkmeter.model_server", *arguments]
        self.process = subprocess.Popen(
            [*command, "--port", str(port)], stderr=subprocess.PIPE, text=True, env=env
        )
        self.lines: list[str] = []
        self.port = 0

    def __enter__(self) -> Self:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if ready := READY.search(line):
                self.port = int(ready[1])
                return self
        self.stop()
        raise AssertionError(f"the server did not start: {self.lines}")

    def __exit__(self, *_error) -> None:
        self.stop()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(10)
        self.process.stderr.close()
        return code

    def failure(self) -> tuple[int, list[str]]:
        """Wait for a server that cannot start; return its exit code and its lines."""
        _, lines = self.process.communicate(timeout=20)
        return self.process.returncode, lines.splitlines()

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=20)

    def request(self, method: str, path: str, body=None, **headers: str) -> HTTPResponse:
        """Send one request on a connection of its own; the answer is read already."""
        connection = self.connect()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        response.content = response.read()
        connection.close()
        return response

    def invoke(self, payload: object, **headers: str) -> HTTPResponse:
        headers.setdefault("content_type", "application/json")
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.request("POST", "/invocations", body, **headers)

    def texts(self, prompt: str | list[str], **parameters: object) -> list[str]:
        response = self.invoke({"text_inputs": prompt, **parameters})
        assert response.status == 200, response.content
        return json.loads(response.content)["generated_texts"]

    def problem(self, payload: object, **headers: str) -> tuple[int, dict]:
        response = self.invoke(payload, **headers)
        assert response.headers["content-type"] == "application/problem+json"
        return response.status, json.loads(response.content)

    def events(self, payload: object, **headers: str) -> list[dict]:
        response = self.invoke(payload, accept="text/event-stream", **headers)
        assert response.status == 200, response.content
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.content.decode().split("\n\n")
        assert lines.pop() == ""
        return [json.loads(line.removeprefix("data: ")) for line in lines]
