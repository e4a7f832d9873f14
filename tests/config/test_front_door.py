"""Settings of the front door: keys for model servers, persons named by proxies, web origins."""

from pathlib import Path

import pytest

from parkmeter.config.diff import compare
from parkmeter.config.load import load_settings
from parkmeter.config.settings import Settings
from parkmeter.errors import ConfigError
from parkmeter.gateway.from_settings import routes

_SECRET = "of-sixteen-characters"
_FILE = """
[gateway]
{gateway}
[endpoints.a]
model = "demo"
{endpoint}
"""


def load(folder: Path, gateway: str = "", endpoint: str = "", **environment: str) -> Settings:
    file = folder / "parkmeter.toml"
    file.write_text(_FILE.format(gateway=gateway, endpoint=endpoint))
    return load_settings(config=file, environment=environment)


def test_a_key_of_a_server_is_read_and_never_shown_nor_passed_on(tmp_path):
    line = 'upstream_headers = { Authorization = "env:KEY", X-Team = "red team" }'
    settings = load(tmp_path, endpoint=line, KEY="Bearer sk-of-the-server")
    (target,) = [routes(settings).match(b"/a")]
    assert target.route.own_headers.lines == (
        b"Authorization: Bearer sk-of-the-server\r\n",
        b"X-Team: red team\r\n",
    )
    assert settings.held_back({"KEY": "x"}) == {"KEY": ("a",)}
    shown = repr(settings) + str(settings.model_dump()) + repr(target)
    assert "sk-of-the-server" not in shown
    other = load(tmp_path, endpoint=line, KEY="Bearer sk-of-another")
    assert compare(settings, other).at_once == {"a": ("upstream_headers",)}
    assert "sk-" not in "".join(compare(settings, other).lines())


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ('{ X-Key = "env:NOT_THERE" }', "variable 'NOT_THERE' is not set"),
        ('{ X-Key = "pass-word\\r\\nX-Other: 1" }', "the value of X-Key must be visible ASCII"),
        ('{ X-Key = "pass-word " }', "the value of X-Key must be visible ASCII"),
        ('{ X-Key = "" }', "the value of X-Key must be visible ASCII"),
        ('{ X-Key = "pass-wörd" }', "the value of X-Key must be visible ASCII"),
        ('{ "X Key" = "pass-word" }', "'X Key' must be a header's name"),
        ('{ X_Key = "pass-word" }', "'X_Key' must be a header's name"),
        ('{ "X-Key:" = "pass-word" }', "must be a header's name"),
        ('{ Host = "pass-word" }', "'Host' is written by the gateway itself"),
        ('{ Transfer-Encoding = "chunked" }', "is written by the gateway itself"),
        ('{ X-Key = "pass-word", x-key = "pass-word" }', "has the same header twice"),
        ("{ X-Key = 7 }", "X-Key"),
        ('"pass-word"', "upstream_headers"),
    ],
)
def test_headers_that_cannot_be_sent_are_refused_without_their_values(tmp_path, headers, said):
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, endpoint=f"upstream_headers = {headers}")
    assert said in refused.value.detail
    assert "pass-w" not in refused.value.detail + str(refused.value.data)


def test_a_proxy_s_secret_is_read_and_never_shown(tmp_path):
    lines = 'proxy_secret = "env:PROXY"\nperson_header = "X-Forwarded-Email"'
    settings = load(tmp_path, lines, PROXY=_SECRET)
    assert settings.gateway.proxy_secret == _SECRET
    assert _SECRET not in repr(settings) + str(settings.model_dump())
    names = routes(settings).match(b"/a").route.own_headers.names
    assert names == {b"x-forwarded-email"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('person_header = "X-Person"', "person_header needs proxy_secret"),
        ('proxy_secret = "pass-word"', "must have at least 16 characters"),
        ('proxy_secret = "env:NO"', "variable 'NO' is not set"),
        ('proxy_secrets = "pass-word-of-length"', "did you mean 'proxy_secret'?"),
        ("proxy_secret = 5", "proxy_secret"),
        (
            f'proxy_secret = "{_SECRET}"\nperson_header = "Authorization"',
            "must not be a header with a credential",
        ),
        (f'proxy_secret = "{_SECRET}"\nperson_header = "a b"', "must be a header's name"),
    ],
)
def test_settings_by_which_anyone_could_name_anyone_are_refused(tmp_path, lines, said):
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, lines)
    assert said in refused.value.detail
    assert "pass-word" not in refused.value.detail + str(refused.value.data)


@pytest.mark.parametrize(
    "origin",
    [
        "https://chat.example.org",
        "http://localhost:3000",
        "http://127.0.0.1:8080",
        "http://[::1]:5173",
        "app://obsidian.md",
        "chrome-extension://abcdefghijklmnop",
        "https://xn--bcher-kva.example",
    ],
)
def test_an_exact_origin_is_taken(tmp_path, origin):
    assert load(tmp_path, f'allow_origins = ["{origin}"]').gateway.allow_origins == (origin,)


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "",
        "https://*.example.org",
        "https://chat.example.org/",
        "https://chat.example.org/app",
        "https://Chat.example.org",
        "HTTPS://chat.example.org",
        "https://chat.example.org:443",
        "http://localhost:80",
        "https://ada@chat.example.org",
        "chat.example.org",
        "https://",
        "https://a b",
        "https://chat.example.org\\n",
        "https://bücher.example",
        "http://localhost:08080",
    ],
)
def test_anything_but_an_exact_origin_is_refused(tmp_path, origin):
    with pytest.raises(ConfigError, match="allow_origins"):
        load(tmp_path, f'allow_origins = ["{origin}"]')
