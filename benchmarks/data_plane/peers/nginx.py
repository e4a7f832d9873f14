"""nginx, one worker: `auth_request` to a check inside nginx, then `proxy_pass` with keep-alive."""

from benchmarks.data_plane.peer import Ground, Peer, Program
from benchmarks.data_plane.questions import TOKEN
from benchmarks.data_plane.sources import from_system

_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/errors;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $http_authorization $allowed {{ default 0; "Bearer {token}" 1; }}
  upstream stub {{
    server 127.0.0.1:{upstream};
    keepalive 256;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Authorization "";
    location = /check {{ internal; if ($allowed = 0) {{ return 401; }} return 204; }}
    location = /flan {{
      auth_request /check;
      proxy_pass http://stub/invocations;
    }}
    location /flan/ {{
      auth_request /check;
      proxy_pass http://stub/;
      proxy_buffering off;
    }}
  }}
}}
"""


def _find(*, install: bool) -> Program:
    return from_system("nginx", ("nginx",), ("-v",), install=install)


def _command(program: Program, ground: Ground) -> list[str]:
    file = ground.folder / "nginx.conf"
    text = _CONFIGURATION.format(
        folder=ground.folder, token=TOKEN, port=ground.port, upstream=ground.upstream
    )
    file.write_text(text, encoding="utf-8")
    return [program.path, "-e", str(ground.folder / "errors"), "-c", str(file)]


NGINX = Peer("nginx", _find, _command)
