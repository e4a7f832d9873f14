"""The page of proxies: nginx and Caddy with TLS and a prefix, as it prints them."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from parkmeter.config.load import load_settings
from tests.clients.free_port import free_port, listens
from tests.clients.front_door import STORY, FrontDoor
from tests.clients.programs import Running
from tests.clients.recipes import blocks
from tests.support.gateway_process import eventually

PAGE = blocks("proxies.md")
HOST = "models.example.org"


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs: its port, and the certificate that its clients must believe."""

    port: int
    authority: Path

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}/meter"

    def serves(self) -> bool:
        """Return True once it has its certificate: Caddy listens before it has made one."""
        if not (listens(self.port) and self.authority.exists()):
            return False
        with suppress(OSError):
            believed = ssl.create_default_context(cafile=self.authority)
            plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
            with plain, believed.wrap_socket(plain, server_hostname=HOST):
                return True
        return False


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with FrontDoor(tmp_path_factory.mktemp("door"), PAGE["toml"][0]) as made:
        yield made


def nginx(folder: Path, upstream: str) -> tuple[list[str], Proxy]:
    proxy = Proxy(free_port(), folder / "models.pem")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    make += ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    make += ["-keyout", str(folder / "models.key"), "-out", str(proxy.authority)]
    subprocess.run(make, check=True, capture_output=True, timeout=60)
    site = PAGE["nginx"][0].replace("listen 443", f"listen 127.0.0.1:{proxy.port}")
    site = site.replace("/etc/ssl/", f"{folder}/").replace("http://127.0.0.1:8080", upstream)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{site}}}\n"
    )
    return ["nginx", "-e", "stderr", "-c", str(file)], proxy


def caddy(folder: Path, upstream: str) -> tuple[list[str], Proxy]:
    proxy = Proxy(free_port(), folder / "caddy/pki/authorities/local/root.crt")
    site = PAGE["caddyfile"][0].replace(HOST, f"{HOST}:{proxy.port}")
    site = site.replace("127.0.0.1:8080", upstream.removeprefix("http://"))
    file = folder / "Caddyfile"
    local = "admin off\nlocal_certs\nskip_install_trust\nauto_https disable_redirects"
    file.write_text(f"{{\n{local}\n}}\n{site}")
    return ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"], proxy


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def proxy(request, tmp_path, door, monkeypatch) -> Iterator[Proxy]:
    if shutil.which(request.param.__name__) is None or shutil.which("curl") is None:
        pytest.skip(f"{request.param.__name__} or curl is not installed")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    command, made = request.param(tmp_path, door.url)
    running = Running.of(command)
    try:
        eventually(lambda: running.ended() or made.serves())
        assert not running.ended(), running.result().text
        yield made
    finally:
        running.stop()


def asked(proxy: Proxy, door: FrontDoor, path: str, *options: str) -> Running:
    resolved = f"{HOST}:{proxy.port}:127.0.0.1"
    command = ["curl", "-sSN", "--resolve", resolved, "--cacert", str(proxy.authority)]
    command += ["-H", f"Authorization: {door.token}", *options, f"{proxy.url}{path}"]
    return Running.of(command)


def test_a_proxy_with_tls_and_a_prefix_is_one_address_for_all(proxy, door):
    assert asked(proxy, door, "/v1/models").result().has('"id": "smol"')
    asks = '{"model": "qwen", "stream": true, "messages": [{"role": "user", "content": "?"}]}'
    chat = ("/v1/chat/completions", "-H", "Content-Type: application/json", "-d", asks)
    closed = asked(proxy, door, *chat).result()
    assert closed.has("holds no time", f"{proxy.url}/endpoints/qwen/top-ups"), closed.text
    door.stop_streams()
    door.let_serve()
    door.top_up()
    streamed = asked(proxy, door, *chat)
    assert streamed.until("Once"), streamed.result().text
    door.let_stream()
    assert streamed.result().has(*STORY.split())
    door.close()
    door.until_closed()


def test_the_settings_for_people_who_sign_in_are_valid(tmp_path):
    file = tmp_path / "parkmeter.toml"
    endpoint = '[endpoints.qwen]\ncommand = ["serve", "{port}"]\n'
    file.write_text(endpoint + PAGE["toml"][1])
    secret = {"PARKMETER_PROXY_SECRET": "a-secret-of-the-proxy"}
    settings = load_settings(config=file, environment=secret)
    assert settings.gateway.person_header == "X-Forwarded-Email"
