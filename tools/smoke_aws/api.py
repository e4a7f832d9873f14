"""The deployed API, called with `curl` as the README of the original project does."""

import json
import secrets
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tools.smoke_aws.run import Run

SCOPES = ("admin", "invoke", "top-up")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    status: int
    content_type: str
    text: str

    @property
    def document(self) -> Any:
        """Return its JSON."""
        return json.loads(self.text)


class Api:
    """The API of a run. `log` receives each command, without its token."""

    def __init__(self, run: Run, log: Callable[[str], None]) -> None:
        self._run, self._log = run, log
        self._token = secrets.token_urlsafe(24)
        self._url = run.api_url or self._deployed()

    def put_token(self) -> None:
        """Put the run's pass code into the table `auth`, as an operator does."""
        item = {"token": {"S": self._token}, "scopes": {"SS": list(SCOPES)}}
        self._run.client("dynamodb").put_item(TableName=f"{self._run.prefix}-auth", Item=item)

    def get(self, path: str) -> Answer:
        """Send GET with the token."""
        return self.curl(path)

    def post(self, path: str, body: Any, token: str | None = "") -> Answer:
        """Send POST with a JSON body; `token`: another one, None: none."""
        data = ("--header", "Content-Type: application/json", "--data", json.dumps(body))
        return self.curl(path, *data, token=token)

    def curl(self, path: str, *options: str, token: str | None = "") -> Answer:
        """Run `curl --location ADDRESS --header 'Authorization: …' OPTIONS`.

        Raises:
            OSError: there is no curl, or no answer.

        """
        header = self._token if token == "" else token
        given = () if header is None else ("--header", f"Authorization: {header}")
        self._log(f"$ curl --location …{path} {' '.join(options)}")
        done = subprocess.run(  # noqa: S603 (curl)
            [  # noqa: S607
                "curl",
                "--silent",
                "--show-error",
                *("--max-time", "60"),
                *("--write-out", "\n%{http_code} %{content_type}"),
                "--location",
                f"{self._url}{path}",
                *given,
                *options,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OSError(f"curl {path}: {done.stderr.strip()}")
        body, _, tail = done.stdout.rpartition("\n")
        status, _, content_type = tail.partition(" ")
        return Answer(int(status), content_type, body)

    def _deployed(self) -> str:
        parameter = f"/{self._run.prefix}/address"
        got = self._run.client("ssm").get_parameter(Name=parameter)
        address: str = got["Parameter"]["Value"]
        return address
