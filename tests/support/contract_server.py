"""A small HTTP server with the HTTP contract in memory, and failures on demand.

For tests without a real gateway: lost answers, an address that goes away, constant answers. It has
no clock: time left stands still.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

ADMIN = "pm_contract-admin"

RECEIPT = {
    "endpoint": "flan-t5",
    "from": "2026-11-01T00:00:00Z",
    "to": "2026-11-02T00:00:00Z",
    "hours_on": 1.5,
    "price_per_hour": "7.0900",
    "cost": "10.6350",
    "known_cost": "10.6350",
    "always_on_cost": "170.1600",
    "saved": "159.5250",
    "unpriced_hours": 0.0,
    "parts": [
        {"who": "ada", "hours_on": 1.0, "cost": "7.0900", "minutes_bought": 60.0},
        {"who": "ben", "hours_on": 0.5, "cost": "3.5450", "minutes_bought": 30.0},
    ],
    "runs": [
        {
            "started": "2026-11-01T09:00:00Z",
            "ended": "2026-11-01T10:30:00Z",
            "hours_on": 1.5,
            "variant": "ml.g5.xlarge",
            "cost": "10.6350",
        }
    ],
}


def problem(status: int, code: str, detail: str, **data: object) -> tuple[int, dict]:
    return status, {"title": code, "status": status, "detail": detail, "code": code, **data}


@dataclass
class ContractServer:
    """`seen`: requests as (method, path, headers, body). `failures`: one for each next request.

    A failure is an answer in place of the real one; "drop": the connection is closed without an
    answer; "lost": the same, but the request is carried out.
    """

    endpoints: dict[str, dict] = field(default_factory=dict)
    tokens: dict[str, dict] = field(default_factory=dict)
    seen: list[tuple[str, str, dict[str, str], object]] = field(default_factory=list)
    failures: list[object] = field(default_factory=list)
    keys: dict[str, tuple[int, dict]] = field(default_factory=dict)
    log: list[str] = field(default_factory=lambda: ["loading", "ready [now]"])
    more_log: Callable[[], list[str]] | None = None
    prompts: Callable[[dict], tuple[int, object]] | None = None
    port: int = 0

    def __enter__(self) -> Self:
        self.endpoints = self.endpoints or {"flan-t5": endpoint("flan-t5")}
        self.token("first", ADMIN, scopes=["admin", "invoke", "top-up"])
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", self.port), type("Handler", (_Handler,), {"house": self})
        )
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def token(self, name: str, secret: str, **given: object) -> dict:
        made = {
            "id": f"{len(self.tokens) + 1:08x}",
            "name": name,
            "scopes": given.get("scopes") or ["invoke", "top-up"],
            "endpoints": given.get("endpoints"),
            "created_at": "2026-11-01T00:00:00Z",
            "expires_at": given.get("expires_at"),
            "minutes_per_day": given.get("minutes_per_day"),
            "speaks_for_others": given.get("speaks_for_others", False),
        }
        self.tokens[secret] = made
        return made

    def answer(self, method: str, path: str, headers: dict, body: dict) -> tuple[int, object]:
        """Return status and JSON by the contract."""
        secret = headers.get("authorization", "").removeprefix("Bearer ")
        if path == "/health":
            return 200, {"status": "ok", "version": "0.1.0"}
        if not secret:
            return problem(401, "token_missing", "Send your token.")
        if secret not in self.tokens:
            return problem(403, "token_refused", "This token is unknown, expired or revoked.")
        if path.startswith("/tokens"):
            return self._tokens(method, path, body)
        if path == "/endpoints":
            return 200, {"endpoints": list(self.endpoints.values())}
        _, _, name, *rest = path.split("/")
        if name not in self.endpoints:
            return problem(404, "unknown_endpoint", f"There is no endpoint {name!r}.")
        return self._endpoint(name, rest[0] if rest else "", headers, body)

    def _tokens(self, method: str, path: str, body: dict) -> tuple[int, object]:
        if method == "GET":
            return 200, {"tokens": list(self.tokens.values())}
        if method == "POST":
            if any(token["name"] == body["name"] for token in self.tokens.values()):
                return problem(409, "name_taken", f"There is a token {body['name']!r} already.")
            secret = f"pm_secret-{len(self.tokens)}"
            return 201, {**self.token(secret=secret, **body), "token": secret}
        wanted = path.rpartition("/")[2]
        for secret, token in self.tokens.items():
            if token["id"] == wanted:
                if "admin" in token["scopes"]:
                    return problem(409, "last_admin", "This is the last admin token.")
                del self.tokens[secret]
                return 204, None
        return problem(404, "unknown_token", "There is no such token.")

    def _endpoint(self, name: str, what: str, headers: dict, body: dict) -> tuple[int, object]:
        shown = self.endpoints[name]
        match what:
            case "":
                return 200, shown
            case "receipt":
                return 200, {**RECEIPT, "endpoint": name}
            case "receipt.csv":
                return 200, f"row,endpoint\r\ntotal,{name}\r\n"
            case "invocations":
                return (self.prompts or (lambda asked: (200, {"echo": asked})))(body)
            case "top-ups" | "eject":
                key = headers["idempotency-key"]
                if key not in self.keys:
                    minutes = body.get("minutes", -shown["seconds_left"] / 60)
                    if "dollars" in body:
                        if shown["price_per_hour"] is None:
                            return problem(422, "price_unknown", "Its price is unknown.")
                        minutes = float(body["dollars"]) / shown["price_per_hour"] * 60
                    shown["seconds_left"] += minutes * 60
                    self.keys[key] = (
                        201 if what == "top-ups" else 200,
                        changed(shown, minutes, body.get("dollars")),
                    )
                return self.keys[key]
            case _:
                return problem(404, "not_found", "No such route.")


def endpoint(name: str, **given: object) -> dict:
    """Return a running endpoint with an hour on its meter."""
    return {
        "name": name,
        "status": "running",
        "reason": "serving",
        "expires_at": "2026-11-22T19:00:00Z",
        "closes_at": "2026-11-22T19:00:00Z",
        "seconds_left": 3600.0,
        "price_per_hour": 7.09,
        "cost_so_far": 1.25,
        "api_resource": name,
        "since": "2026-11-22T18:00:00Z",
        "attempts": 1,
        "next_try": None,
        "hours": None,
        "window_until": None,
        "next_window_at": None,
        "held": False,
        **given,
    }


def changed(shown: dict, minutes: float, dollars: str | None = None) -> dict:
    return {
        "endpoint": shown["name"],
        "minutes": minutes,
        "dollars": dollars,
        "expires_at": shown["expires_at"],
        "closes_at": shown["closes_at"],
        "seconds_left": shown["seconds_left"],
        "status": shown["status"],
        "at": "2026-11-22T18:00:00Z",
        "by": "first",
    }


class _Handler(BaseHTTPRequestHandler):
    house: ContractServer
    protocol_version = "HTTP/1.1"

    def do(self) -> None:
        path = urlsplit(self.path).path.removeprefix("/prod")
        headers = {name.lower(): value for name, value in self.headers.items()}
        sent = self.rfile.read(int(headers.get("content-length", 0)))
        try:
            body = json.loads(sent or b"{}")
        except ValueError:
            body = {"not json": sent.decode()}
        self.house.seen.append((self.command, self.path, headers, body))
        failure = self.house.failures.pop(0) if self.house.failures else None
        if failure == "drop":
            self.close_connection = True
            return
        if path.endswith("/logs"):
            self.logs(parse_qs(urlsplit(self.path).query))
            return
        answer = failure
        if failure in (None, "lost"):
            answer = self.house.answer(self.command, path, headers, body)
        if failure == "lost":
            self.close_connection = True
            return
        self.reply(*answer)

    do_GET = do_POST = do_DELETE = do  # noqa: N815 (the standard library's names)

    def reply(self, status: int, document: object, headers: dict[str, str] | None = None) -> None:
        events = isinstance(document, str)
        body = document.encode() if events else json.dumps(document).encode()
        body = b"" if document is None else body
        self.send_response(status)
        kind = "text/event-stream; charset=utf-8" if events else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def logs(self, query: dict[str, list[str]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        lines = self.house.log[-int(query["lines"][0]) :]
        while True:
            piece = "".join(f"{line}\n" for line in lines).encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
            if query["follow"] != ["true"] or self.house.more_log is None:
                break
            time.sleep(0.01)
            lines = self.house.more_log()
            if not lines:
                break
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Log nothing."""
