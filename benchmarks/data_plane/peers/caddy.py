"""Caddy on one core: a token compared by a matcher, `reverse_proxy` with keep-alive."""

from dataclasses import replace

from benchmarks.data_plane.peer import Ground, Peer, Program
from benchmarks.data_plane.questions import TOKEN
from benchmarks.data_plane.sources import from_system

_CONFIGURATION = """
{{
  admin off
  auto_https off
  persist_config off
}}
http://127.0.0.1:{port} {{
  @known header Authorization "Bearer {token}"
  handle @known {{
    rewrite * /invocations
    reverse_proxy 127.0.0.1:{upstream} {{
      header_up -Authorization
      transport http {{
        keepalive_idle_conns_per_host 256
      }}
    }}
  }}
  respond 401
}}
"""


def _find(*, install: bool) -> Program:
    found = from_system("caddy", ("caddy",), ("version",), install=install)
    return replace(found, environment={**found.environment, "GOMAXPROCS": "1"})


def _command(program: Program, ground: Ground) -> list[str]:
    file = ground.folder / "Caddyfile"
    text = _CONFIGURATION.format(token=TOKEN, port=ground.port, upstream=ground.upstream)
    file.write_text(text, encoding="utf-8")
    return [program.path, "run", "--adapter", "caddyfile", "--config", str(file)]


CADDY = Peer("Caddy", _find, _command)
