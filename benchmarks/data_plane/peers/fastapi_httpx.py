"""FastAPI and httpx: what a gateway of a few lines costs."""

from pathlib import Path

from benchmarks.data_plane.peer import Ground, Peer, Program
from benchmarks.data_plane.questions import TOKEN
from benchmarks.data_plane.sources import from_python

_REQUIREMENTS = ("fastapi==0.165.0", "httpx==0.28.1", "uvicorn[standard]==0.54.0")
_APP = Path(__file__).with_name("fastapi_httpx_app.py")


def _find(*, install: bool) -> Program:
    return from_python(_REQUIREMENTS, "python", "fastapi", install=install)


def _command(program: Program, ground: Ground) -> list[str]:
    return [program.path, str(_APP), str(ground.port), str(ground.upstream), TOKEN]


FASTAPI_HTTPX = Peer("FastAPI + httpx", _find, _command, least_seconds=2.0)
