"""`/`: the dashboard, with its files below `/assets`. Needs no token and knows no meter.

The page names its files by a version made of all their bytes, so that a browser can cache them
forever and never mixes two releases. All URLs are relative: the page works under any prefix.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from parkmeter.api import dashboard as package
from parkmeter.api.page_headers import page_headers

_PAGE, _ICON = "index.html", "icon.svg"
_VERSION = b"{version}"
_TYPES = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
    }
)
_FOREVER = "public, max-age=31536000, immutable"
_HEADERS = page_headers(
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "form-action 'none'",
)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file: its bytes, media type and ETag."""

    body: bytes
    media_type: str
    tag: str

    @classmethod
    def of(cls, name: str, body: bytes) -> "Asset":
        """Return a file by its name; raise KeyError for a type that is not served."""
        digest = hashlib.sha256(body).hexdigest()
        return cls(body, _TYPES[name[name.rindex(".") :]], f'"{digest[:32]}"')


@dataclass(frozen=True, slots=True)
class Dashboard:
    """All files by name, with the version that the page uses for them."""

    version: str
    assets: Mapping[str, Asset]


def add_dashboard_routes(app: FastAPI) -> None:
    """Add the routes to an application."""

    @app.get("/", include_in_schema=False)
    async def home(request: Request) -> Response:
        return _answer(request, dashboard().assets[_PAGE], "no-cache")

    @app.get("/favicon.ico", include_in_schema=False)
    async def favicon(request: Request) -> Response:
        return _answer(request, dashboard().assets[_ICON], "public, max-age=86400")

    @app.get("/assets/{version}/{name:path}", include_in_schema=False)
    async def asset(request: Request, version: str, name: str) -> Response:
        found = dashboard().assets.get(name)
        if version != dashboard().version or found is None or name == _PAGE:
            raise HTTPException(404)
        return _answer(request, found, _FOREVER)


def _answer(request: Request, asset: Asset, cache_control: str) -> Response:
    headers = {**_HEADERS, "Cache-Control": cache_control, "ETag": asset.tag}
    known = request.headers.get("if-none-match", "").split(",")
    # A proxy that compresses the file makes its tag a weak one.
    if asset.tag in [tag.strip().removeprefix("W/") for tag in known]:
        return Response(status_code=304, headers=headers)
    return Response(asset.body, media_type=asset.media_type, headers=headers)


@cache
def dashboard() -> Dashboard:
    """Return the files of this release; read once."""
    read = dict(sorted(_read(files(package), "")))
    digest = hashlib.sha256()
    for name, body in read.items():
        digest.update(b"%b\0%d\0%b" % (name.encode(), len(body), body))
    version = digest.hexdigest()[:16]
    read[_PAGE] = read[_PAGE].replace(_VERSION, version.encode())
    return Dashboard(version, {name: Asset.of(name, body) for name, body in read.items()})


def _read(folder: Traversable, path: str) -> list[tuple[str, bytes]]:
    found = []
    for one in folder.iterdir():
        name = f"{path}{one.name}"
        if one.is_dir():
            found += _read(one, f"{name}/")
        elif name[name.rfind(".") :] in _TYPES:
            found.append((name, one.read_bytes()))
    return found
