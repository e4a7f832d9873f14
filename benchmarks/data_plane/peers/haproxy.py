"""haproxy, one thread: a token compared in the frontend, connections to the stub shared."""

from benchmarks.data_plane.peer import Ground, Peer, Program
from benchmarks.data_plane.questions import TOKEN
from benchmarks.data_plane.sources import from_system

_PACKAGES = ("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")

_CONFIGURATION = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:{port}
  http-request deny status 401 unless {{ req.hdr(authorization) -m str "Bearer {token}" }}
  default_backend stub
backend stub
  http-reuse always
  http-request del-header authorization
  http-request set-path /invocations
  server stub 127.0.0.1:{upstream}
"""


def _find(*, install: bool) -> Program:
    return from_system("haproxy", _PACKAGES, ("-v",), install=install)


def _command(program: Program, ground: Ground) -> list[str]:
    file = ground.folder / "haproxy.cfg"
    text = _CONFIGURATION.format(token=TOKEN, port=ground.port, upstream=ground.upstream)
    file.write_text(text, encoding="utf-8")
    return [program.path, "-db", "-f", str(file)]


HAPROXY = Peer("haproxy", _find, _command)
