"""`/openapi.json` and `/docs`, the same as one page with calls to copy; no script, nothing loaded.

Neither needs a token, so each is rendered once: a request costs as little as one for `/health`.
"""

import json
from functools import cache
from html import escape
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from parkmeter.api.dependencies import ApiContext
from parkmeter.api.page_headers import page_headers, style_of
from parkmeter.web.headers import base_of
from parkmeter.web.stage import STAGE

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #0a7d5a; }
@media (prefers-color-scheme: dark) { :root { --accent: #4cc99a; } }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line) }
h3 { font: 600 1rem/1.4 ui-monospace, monospace; margin: 1.8rem 0 .3rem }
h3 b { color: var(--accent); display: inline-block; min-width: 4rem }
pre, code { font: .875rem/1.5 ui-monospace, monospace; background: var(--soft) }
pre { padding: .7rem .9rem; overflow-x: auto; border: 1px solid var(--line); border-radius: .4rem }
code { padding: .1rem .25rem; border-radius: .2rem }
table { border-collapse: collapse; width: 100%; font-size: .93rem }
td { border-top: 1px solid var(--line); padding: .3rem .6rem .3rem 0; vertical-align: top }
td:first-child { white-space: nowrap; font: .875rem/1.6 ui-monospace, monospace }
"""

# The dashboard keeps a token on this origin, so nothing foreign may run or load here.
HEADERS = page_headers(style_of(_STYLE), "img-src 'self'", "form-action 'none'")


_BASE_URL = "\0"
"""Stands for the gateway's address in the page, until a request says which one it called."""

_IN_JSON = json.dumps(_BASE_URL).encode()


def add_docs_routes(app: FastAPI, context: ApiContext) -> None:
    """Add both routes to an application."""

    @cache
    def document() -> bytes:
        whole = {**app.openapi(), "servers": [{"url": _BASE_URL}]}
        return json.dumps(whole, ensure_ascii=False).encode()

    @cache
    def page() -> str:
        return docs_page(app.openapi(), _BASE_URL)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        base = context.base(request.scope)
        # As it was called it needs no host: it is taken from where the document was found.
        if base == base_of(request.scope):
            base = str(request.scope.get("root_path", "")).rstrip("/") or "/"
        found = document().replace(_IN_JSON, json.dumps(base).encode())
        return Response(found, media_type="application/json")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        base_url = context.base(request.scope)
        # One spelling of every call, the README's: the local gateway takes it without the stage
        # too, API Gateway's address has it already.
        called = base_url == base_of(request.scope)
        if called and context.whole_servers and not base_url.endswith(STAGE):
            base_url += STAGE
        return HTMLResponse(page().replace(_BASE_URL, escape(base_url)), headers=HEADERS)


def docs_page(document: dict[str, Any], base_url: str) -> str:
    """Return the page for a gateway at `base_url`."""
    parts: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            body = _example(operation.get("requestBody"), document["components"]["schemas"])
            parts.setdefault(tag, []).append(_operation(method, path, operation, base_url, body))
    sections = "".join(f"<h2>{escape(tag)}</h2>{''.join(ops)}" for tag, ops in parts.items())
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} {escape(info['version'])}</title><style>{_STYLE}</style>"
        f"<h1>{escape(info['title'])}</h1><p>{escape(info.get('summary', ''))}</p>"
        f"{_prose(info.get('description', ''))}"
        f'<p>Machine-readable: <a href="openapi.json">openapi.json</a>.</p>{sections}</html>'
    )


def _operation(
    method: str, path: str, operation: dict[str, Any], base_url: str, body: dict[str, Any] | None
) -> str:
    rows = [
        (f"{parameter['name']} ({parameter['in']})", parameter.get("description", ""))
        for parameter in operation.get("parameters", [])
    ]
    rows += [
        (status, response.get("description", ""))
        for status, response in sorted(operation["responses"].items())
        if response.get("description")
    ]
    table = "".join(f"<tr><td>{escape(a)}</td><td>{_code(b)}</td></tr>" for a, b in rows)
    return (
        f"<h3><b>{method.upper()}</b> {escape(path)}</h3>{_prose(operation.get('description', ''))}"
        f"<pre>{escape(_curl(method, path, operation, base_url, body))}</pre><table>{table}</table>"
    )


def _curl(
    method: str, path: str, operation: dict[str, Any], base_url: str, body: dict[str, Any] | None
) -> str:
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            value = parameter["schema"].get("examples", [parameter["name"]])[0]
            path = path.replace("{" + parameter["name"] + "}", value)
    line = f"curl {base_url}{path}"
    if operation.get("security"):
        line += ' -H "Authorization: $TOKEN"'
    if body is not None:
        line += f" \\\n     -d '{json.dumps(body)}'"
    elif method != "get":
        line += f" -X {method.upper()}"
    return line


def _example(
    body: dict[str, Any] | None, schemas: dict[str, dict[str, Any]]
) -> dict[str, Any] | None:
    """Return the example of a request's body; None for an operation that takes none."""
    if body is None:
        return None
    media = body["content"]["application/json"]
    if "example" in media:
        return dict(media["example"])
    schema = schemas[media["schema"]["$ref"].rpartition("/")[2]]
    others = {name for form in schema.get("oneOf", [])[1:] for name in form["required"]}
    return {
        key: value["examples"][0]
        for key, value in schema.get("properties", {}).items()
        if "examples" in value and key not in others
    }


def _prose(text: str) -> str:
    return "".join(f"<p>{_code(part)}</p>" for part in text.strip().split("\n\n") if part)


def _code(text: str) -> str:
    """Escape the text and mark `…` as code."""
    pieces = escape(text).split("`")
    return "".join(
        f"<code>{piece}</code>" if place % 2 else piece for place, piece in enumerate(pieces)
    )
