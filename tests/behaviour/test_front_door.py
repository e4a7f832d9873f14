"""The settings of the front door on a real gateway: they are in force, and after a reload again."""

import json
import sys
from collections.abc import Iterator

import pytest

from tests.support.gateway_process import TOKEN, GatewayProcess, eventually

SECRET = "a-secret-of-the-proxy"
PAGE = "https://chat.example.org"
ECHO = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        heard = str(self.headers).encode()
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Length", str(len(heard)))
        self.end_headers()
        self.wfile.write(heard)

    do_POST = do_GET

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""
CONFIG = f"""
[gateway]
trusted_proxies = ["127.0.0.1"]
proxy_secret = "env:PROXY_SECRET_OF_TESTS"
person_header = "X-Person"
allow_origins = ["{PAGE}"]
[endpoints.flan-t5]
api_resource = "flan"
command = {json.dumps([sys.executable, "-I", "-S", "-c", ECHO, "{port}"])}
upstream_headers = {{ Authorization = "env:KEY_OF_TESTS", X-Team = "red" }}
"""
PROXIED = {
    "Parkmeter-Proxy-Secret": SECRET,
    "X-Person": "ada@example.org",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "meter.example.org",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory) -> Iterator[GatewayProcess]:
    environment = {"PROXY_SECRET_OF_TESTS": SECRET, "KEY_OF_TESTS": "Bearer of-the-server"}
    state = tmp_path_factory.mktemp("front-door")
    with GatewayProcess(state, CONFIG, environment=environment) as made:
        made.start().until("running")
        yield made


def test_a_server_gets_its_own_key_and_no_header_of_the_front_door(gateway):
    fields = {**PROXIED, "x-api-key": TOKEN, "X-Team": "blue", "Origin": PAGE}
    answer = gateway.request("POST", "/flan", {}, fields)
    heard = answer.body.decode()
    assert "Authorization: Bearer of-the-server\n" in heard.replace("\r", "")
    assert "X-Team: red" in heard
    for word in (TOKEN, SECRET, "ada@", "blue", "x-person", "x-api-key", "meter.example.org"):
        assert word.lower() not in heard.lower()
    assert answer.headers["access-control-allow-origin"] == PAGE


def test_a_proxy_names_the_person_and_the_address(gateway):
    made = gateway.request("POST", "/endpoints/flan-t5/top-ups", {"minutes": 2}, PROXIED)
    assert (made.status, made.json["by"]) == (201, "ada@example.org by owner")
    who = gateway.request("GET", "/whoami", headers={"X-Person": "ada@example.org"}).json
    assert who["name"] == "owner"
    document = gateway.request("GET", "/openapi.json", headers=PROXIED).json
    assert document["servers"] == [{"url": "https://meter.example.org"}]


def test_an_application_s_token_names_the_person(gateway):
    order = {"name": "webui", "speaks_for_others": True}
    token = gateway.request("POST", "/tokens", order).json["token"]
    fields = {"Authorization": token, "X-OpenWebUI-User-Email": "bob@example.org"}
    made = gateway.request("POST", "/endpoints/flan-t5/top-ups", {"minutes": 2}, fields)
    assert made.json["by"] == "bob@example.org by webui"


def test_a_preflight_needs_no_token_and_secrets_are_nowhere(gateway):
    fields = {"Authorization": "", "Origin": PAGE, "Access-Control-Request-Method": "POST"}
    for path in ("/flan", "/prod/endpoints"):
        assert gateway.request("OPTIONS", path, headers=fields).status == 204
    assert SECRET not in gateway.output()
    assert "of-the-server" not in gateway.output()


def test_a_reload_puts_other_settings_in_force(gateway):
    file = gateway.state / "parkmeter.toml"
    public = 'public_url = "https://other.example.org/prod"'
    file.write_text(
        CONFIG.replace(f'allow_origins = ["{PAGE}"]', public).replace('"red"', '"green"')
    )
    gateway.process.send_signal(1)
    eventually(
        lambda: (
            gateway.request("GET", "/openapi.json").json.get("servers")
            == [{"url": "https://other.example.org/prod"}]
        )
    )
    answer = gateway.request("POST", "/flan", {}, {"Origin": PAGE})
    assert "X-Team: green" in answer.body.decode()
    assert "access-control-allow-origin" not in answer.headers
    assert "of-the-server" not in gateway.output()
