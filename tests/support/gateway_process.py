"""A real gateway in a process of its own, as a person starts it, and small clients for it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from parkmeter.leash.files import FINAL

TOKEN = "a-token-for-tests-1234"
PING_SERVER = Path(__file__).parent / "servers" / "ping.py"


def eventually(holds: Callable[[], object], seconds: float = 90.0, every: float = 0.02) -> object:
    """Return what `holds` returns as soon as it is true; fail if it is not in time."""
    give_up = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < give_up, f"not within {seconds} s"
        time.sleep(every)


def alive(pid: int) -> bool:
    """Return True if the process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class GatewayProcess:
    """`parkmeter up` on a free port, in `folder`; as a context manager it leaves nothing behind.

    `config` is the text of its parkmeter.toml. `source`: the folder its `parkmeter` is imported
    from, in place of the installed one. `through`: the beginning of its command line, a program
    that becomes it.
    """

    state: Path
    config: str | None = None
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    source: Path | None = None
    through: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.clean_up()

    def start(self, *, wait: bool = True) -> Self:
        """Start it; one that does not become healthy is stopped again, with its servers."""
        self.state.mkdir(parents=True, exist_ok=True)
        arguments = [sys.executable, "-m", "parkmeter", "up", "--port", "0", *self.arguments]
        if self.config is not None:
            file = self.state / "parkmeter.toml"
            file.write_text(self.config)
            arguments += ["--config", str(file)]
        (self.state / "client.json").unlink(missing_ok=True)
        with (self.state / "gateway.out").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.through, *arguments, "--state", str(self.state)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment(),
            )
        if wait:
            try:
                eventually(self.healthy)
            except BaseException:
                self._end()
                raise
        return self

    def _environment(self) -> dict[str, str]:
        source = {} if self.source is None else {"PYTHONPATH": str(self.source)}
        return {**os.environ, "PARKMETER_BOOTSTRAP_TOKEN": TOKEN, **source, **self.environment}

    def healthy(self) -> bool:
        """Return True once it answers; fail if it has ended instead."""
        assert self.process.poll() is None, self.output()
        try:
            return self.request("GET", "/health").status == 200
        except (OSError, ValueError, http.client.HTTPException):
            return False

    @property
    def address(self) -> tuple[str, int]:
        url = urlsplit(json.loads((self.state / "client.json").read_text())["url"])
        return url.hostname, url.port

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.address)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        timeout: float = 60,
        *,
        peer: str = "",
    ) -> Answer:
        connection = self.connection(timeout, peer)
        try:
            sent = json.dumps(body) if isinstance(body, dict) else body
            headers = {"Authorization": TOKEN, **(headers or {})}
            connection.request(method, path, sent, headers)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def connection(self, timeout: float, peer: str = "") -> http.client.HTTPConnection:
        """Return a new connection, from the address `peer` of this machine if one is given."""
        return http.client.HTTPConnection(*self.address, timeout=timeout, source_address=(peer, 0))

    def endpoint(self, name: str = "flan-t5") -> dict:
        return self.request("GET", f"/endpoints/{name}").json

    def until(self, status: str, name: str = "flan-t5", seconds: float = 20.0) -> dict:
        def shown() -> dict | None:
            found = self.endpoint(name)
            return found if found["status"] == status else None

        return eventually(shown, seconds)

    def top_up(self, minutes: float, **headers: str) -> Answer:
        return self.request("POST", "/endpoint-expiry", {"minutes": minutes}, headers)

    def output(self) -> str:
        return (self.state / "gateway.out").read_text()

    def records(self) -> list[dict]:
        """Return the leashes' records of their runs."""
        return [json.loads(f.read_text()) for f in (self.state / "endpoints/run").glob("*.json")]

    def kill(self) -> None:
        """Kill -9 the gateway only; servers stay with their leashes."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds: float = 20.0) -> int:
        """Send SIGTERM; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def clean_up(self) -> None:
        """Leave no gateway and no server behind, whatever the test did."""
        if self.process is None:
            return
        if "--keep" in self.arguments:
            self._end()
        ended = self.process.poll()
        if ended or (ended == 0 and any(run["state"] not in FINAL for run in self.records())):
            self.arguments = ()  # servers may live on with their leashes: stop them too
            self.start()
        self._end()

    def _end(self) -> None:
        if self.process.poll() is None:
            try:
                self.stop(30)
            except subprocess.TimeoutExpired:
                self.kill()


def ping_config(*flags: str, **settings: object) -> str:
    """Return a configuration with one endpoint whose server is up in some ten milliseconds."""
    command = [sys.executable, "-I", "-S", str(PING_SERVER), "{port}", *flags]
    lines = ["[endpoints.flan-t5]", 'api_resource = "flan"', f"command = {json.dumps(command)}"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    return "\n".join(lines)
