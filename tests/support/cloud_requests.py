"""Requests to the API of a simulated cloud, by the real `curl` and as a browser opens a link."""

import http.client
import json
import subprocess
from urllib.parse import urlsplit

from simulator.cloud import SimulatedCloud

TOKEN = "a pass code put there by hand"


def curl(cloud: SimulatedCloud, path: str, *words: str, token: str | None = TOKEN):
    """Return the answer's status, content type and document, by the real `curl`."""
    given = () if token is None else ("-H", f"Authorization: {token}")
    command = ["curl", "-sS", "--max-time", "60", "-w", "\n%{http_code} %{content_type}"]
    done = subprocess.run(
        [*command, f"{cloud.url}/prod{path}", *given, *words],
        capture_output=True,
        text=True,
        check=True,
    )
    body, _, tail = done.stdout.rpartition("\n")
    status, _, kind = tail.partition(" ")
    return int(status), kind, json.loads(body or "null")


def page(cloud: SimulatedCloud, path: str, *, press: bool = False) -> tuple[int, str]:
    """Open a link as a browser does, or `press` its button; return status and page."""
    connection = http.client.HTTPConnection(urlsplit(cloud.url).netloc, timeout=60)
    connection.request("POST" if press else "GET", path)
    response = connection.getresponse()
    shown = response.status, response.read().decode()
    connection.close()
    return shown
