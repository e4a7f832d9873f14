"""Caddy on one core: a token compared by a matcher, `reverse_proxy` with keep-alive."""

import json
from dataclasses import replace

from benchmarks.data_plane.peer import Ground, Peer, Program
from benchmarks.data_plane.questions import TOKEN
from benchmarks.data_plane.sources import from_system


def _find(*, install: bool) -> Program:
    found = from_system("caddy", ("caddy",), ("version",), install=install)
    return replace(found, environment={**found.environment, "GOMAXPROCS": "1"})


def _command(program: Program, ground: Ground) -> list[str]:
    forward = {
        "handler": "reverse_proxy",
        "headers": {"request": {"delete": ["Authorization"]}},
        "transport": {"protocol": "http", "keep_alive": {"max_idle_conns_per_host": 256}},
        "upstreams": [{"dial": f"127.0.0.1:{ground.upstream}"}],
    }
    known = {
        "match": [{"header": {"Authorization": [f"Bearer {TOKEN}"]}}],
        "handle": [{"handler": "rewrite", "uri": "/invocations"}, forward],
        "terminal": True,
    }
    unknown = {"handle": [{"handler": "static_response", "status_code": 401}]}
    front = {
        "listen": [f"127.0.0.1:{ground.port}"],
        "automatic_https": {"disable": True},
        "routes": [known, unknown],
    }
    configuration = {
        "admin": {"disabled": True, "config": {"persist": False}},
        "storage": {"module": "file_system", "root": str(ground.folder)},
        "apps": {"http": {"servers": {"front": front}}},
    }
    file = ground.folder / "caddy.json"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    return [program.path, "run", "--config", str(file)]


CADDY = Peer("Caddy", _find, _command)
