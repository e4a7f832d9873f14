"""Settings: their sources, and the mistakes that are refused."""

import sys
from decimal import Decimal
from pathlib import Path

import pytest

from parkmeter.config.load import load_settings
from parkmeter.core.events import EVENTS
from parkmeter.core.meter import LOCAL, Price
from parkmeter.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    def to_file(text: str) -> Path:
        file = tmp_path / "parkmeter.toml"
        file.write_text(text)
        return file

    return to_file


def test_without_a_file_there_is_one_endpoint_with_the_shipped_model():
    settings = load_settings(environment={})
    (name,) = settings.endpoints
    assert (name, settings.resource_of(name)) == ("flan-t5", "flan")
    assert settings.endpoints[name].model == "demo"
    assert settings.endpoints[name].initial_provision_time_minutes == 60
    assert (settings.gateway.host, settings.gateway.port) == ("127.0.0.1", 8080)


def test_hosts_and_proxies_are_lists_of_names_and_networks(write):
    file = write(
        '[gateway]\nallowed_hosts = ["meter.example.org", "*.lan"]\n'
        'trusted_proxies = ["127.0.0.1", "10.0.0.0/8", "::1"]\n[endpoints.a]\nmodel = "demo"'
    )
    gateway = load_settings(config=file, environment={}).gateway
    assert gateway.allowed_hosts == ("meter.example.org", "*.lan")
    assert gateway.trusted_proxies == ("127.0.0.1", "10.0.0.0/8", "::1")
    assert gateway.max_connections is None


def test_the_price_of_the_demo_is_marked_as_make_believe():
    price = Price(Decimal("1.20"), "make-believe price of the demo")
    assert load_settings(environment={}).spec("flan-t5").prices == {LOCAL: price}


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(write):
    file = write('[gateway]\nport = 1\nhost = "1.1.1.1"\n[endpoints.a]\nmodel = "demo"')
    environment = {"PARKMETER_CONFIG": str(file), "PARKMETER_PORT": "2"}
    settings = load_settings(environment=environment)
    assert (settings.gateway.host, settings.gateway.port) == ("1.1.1.1", 2)
    assert load_settings(environment=environment, port=3).gateway.port == 3


def test_the_state_folder_follows_the_environment():
    def state(**environment: str) -> Path | None:
        return load_settings(environment=environment).gateway.state

    assert state(PARKMETER_STATE="/somewhere") == Path("/somewhere")
    assert state(XDG_STATE_HOME="/xdg") == Path("/xdg/parkmeter")
    assert state() == Path.home() / ".local/state/parkmeter"


def test_an_endpoint_becomes_a_spec(write):
    file = write(
        """
        [endpoints.qwen]
        command = ["vllm", "serve", "--port", "{port}"]
        price_per_hour = 1.20
        drain_seconds = 0
        startup_credit_minutes = 0
        max_top_up_minutes = 0.5
        device = "gpu0"
        """
    )
    settings = load_settings(config=file, environment={})
    spec = settings.specs()["qwen"]
    assert settings.resource_of("qwen") == "qwen"
    assert spec.prices == {LOCAL: Price(Decimal("1.2"), "configuration")}
    assert spec.device == "gpu0"
    assert (spec.drain.seconds, spec.startup_credit.seconds, spec.max_top_up.seconds) == (0, 0, 30)


_A = '[endpoints.a]\nmodel = "demo"\n'
_NOTIFY = f"{_A}[notify]\n"


def _hook(url: str = "https://example.org/pass-word", secret: str = "of-16-characters") -> str:
    return f"{_NOTIFY}webhooks = [{{ url = '{url}', secret = '{secret}' }}]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nonsense", "cannot be read"),
        ("", "No endpoint yet: add [endpoints.NAME]"),
        ("[endpoints]", "No endpoint yet: add [endpoints.NAME] with `model` or `command`."),
        ('[endpoint.a]\nmodel = "demo"', "did you mean 'endpoints'?"),
        ('[endpoints.a]\ncomand = ["x"]', "did you mean 'command'?"),
        ('[endpoints.a]\ncommand = "vllm serve"', "must be a list"),
        ('[endpoints.a]\nmodel = "demo"\nprice_per_hour = "cheap"', "a number of dollars"),
        ('[endpoints."no name"]\nmodel = "demo"', "letters, digits"),
        ('[endpoints.a]\nmodel = "demo"\nprice = 1', "endpoints.a.price"),
        ("[endpoints.a]", "a: set either model or command"),
        ('[endpoints.a]\nmodel = "demo"\ncommand = ["x"]', "a: set either model or command"),
        ('[endpoints.a]\ncommand = ["x"]', "must contain {port}"),
        ('[endpoints.a]\nmodel = "demo"\nstart_timeout_seconds = 1e300', "start_timeout_seconds"),
        ('[endpoints.a]\nmodel = "demo"\ndrain_seconds = 1e15', "drain_seconds"),
        ('gateway = 5\n[endpoints.a]\nmodel = "demo"', "gateway: must be a section"),
        ('bootstrap_token = "abc"\n[endpoints.a]\nmodel = "demo"', "PARKMETER_BOOTSTRAP_TOKEN"),
        ("[endpoints.a]\ncommand = []", "begin with a program"),
        ('[endpoints.a]\nmodel = "demo"\ndrain_seconds = -1', "endpoints.a.drain_seconds"),
        ('[endpoints.a]\nmodel = "demo"\ndrain_seconds = nan', "endpoints.a.drain_seconds"),
        ('[endpoints.a]\nmodel = "demo"\nprice_per_hour = -1', "endpoints.a.price_per_hour"),
        ('[endpoints.a]\nmodel = "demo"\ndevice = ""', "endpoints.a.device"),
        ('[endpoints.a]\nmodel = "demo"\nhealth = "ping"', "begins with /"),
        ('[endpoints.a]\nmodel = "demo"\napi_resource = "a/b"', "must be one path segment"),
        ('[endpoints.a]\nmodel = "demo"\napi_resource = "docs"', "the gateway's own"),
        ('[endpoints.endpoints]\nmodel = "demo"', "the gateway's own"),
        (
            '[endpoints.a]\nmodel = "demo"\n[endpoints.b]\nmodel = "demo"\napi_resource = "a"',
            "taken by endpoint 'a'",
        ),
        ('[gateway]\nport = 70000\n[endpoints.a]\nmodel = "demo"', "gateway.port"),
        (f"{_NOTIFY}webhook = 1", "did you mean 'webhooks'?"),
        (f"{_NOTIFY}webhooks = ['http://x']", "must be a section in brackets"),
        (f"{_NOTIFY}webhooks = [{{ url = 'http://x' }}]", "notify.webhooks.0.secret: is missing"),
        (_hook("ftp://pass-word@host"), "begins with http:// or https://"),
        (_hook("http:///path"), "begins with http:// or https://"),
        (_hook("http://host:99999/"), "begins with http:// or https://"),
        (_hook("http://host/a b"), "begins with http:// or https://"),
        (_hook(secret="pass-word"), "must have at least 16 characters"),
        (_hook(secret="env:NOT_THERE"), "variable 'NOT_THERE' is not set"),
        (_hook(secret="env:SHORT"), "must have at least 16 characters"),
        (f"{_NOTIFY}apprise = 'slack://pass-word'", "must be a list in brackets"),
        (f"{_NOTIFY}apprise = ['pass-word']", "must be apprise addresses"),
        (f"{_NOTIFY}apprise = ['a://pass-word', 'a://pass-word']", "lists the same address twice"),
        (f"{_NOTIFY}events = ['started']", "'started'"),
        (f"{_NOTIFY}events = ['started']", "must be one of 'warning', 'start'"),
        (f"[gateway]\npublic_url = 'meter.example.org'\n{_A}", "gateway.public_url"),
        (f"[gateway]\npublic_url = 'https://x/?a=1'\n{_A}", "must not contain ? or #"),
        (f"[gateway]\nallowed_hosts = ['http://x']\n{_A}", "without scheme, port and path"),
        (f"[gateway]\nallowed_hosts = ['x:80']\n{_A}", "without scheme, port and path"),
        (f"[gateway]\ntrusted_proxies = ['near']\n{_A}", "neither an address nor a network"),
        (f"[gateway]\nmax_connections = 1\n{_A}", "gateway.max_connections: must be 16 or more"),
        (f"{_A}extend_minutes = 0", "endpoints.a.extend_minutes: must be more than 0"),
        (f"{_A}api_resource = 'extend'", "the gateway's own"),
        (f"{_A}paths = ['v1/*']", "must be decoded paths that begin with /"),
        (f"{_A}paths = ['/v1/../x']", "must be decoded paths that begin with /"),
        (f"{_A}paths = ['/v1/%70ause']", "must be decoded paths that begin with /"),
        (f"{_A}paths = ['/v1*']", "must be decoded paths that begin with /"),
        (f"{_A}paths = '/v1/*'", "must be a list"),
        (f"{_A}cookies = 'no'", "endpoints.a.cookies: must be true or false"),
        (f"{_A}max_in_flight = true", "must not be true or false"),
        (f"{_A}max_in_flight = 0", "endpoints.a.max_in_flight"),
        ('[gateways]\nport = 1\n[endpoints.a]\nmodel = "demo"', "gateways"),
    ],
)
def test_a_mistake_is_named(write, text, expected):
    with pytest.raises(ConfigError) as raised:
        load_settings(config=write(text), environment={"SHORT": "pass-word"})
    assert expected in raised.value.detail
    assert "parkmeter.toml" in raised.value.detail
    assert "pass-word" not in raised.value.detail
    assert "pass-word" not in str(raised.value.data)


def test_receivers_and_their_events_are_read_and_no_secret_is_shown(write):
    text = """
        [gateway]
        public_url = "https://meter.example.org/prod/"
        [notify]
        apprise = ["slack://pass-word"]
        events = ["warning", "top-up"]
        [[notify.webhooks]]
        url = "https://example.org/hook"
        secret = "env:HOOK"
        [endpoints.a]
        model = "demo"
        extend_minutes = 7
        """
    environment = {"HOOK": "pass-word-of-length"}
    settings = load_settings(config=write(text), environment=environment)
    (hook,) = settings.notify.webhooks
    assert (hook.url, hook.secret) == ("https://example.org/hook", "pass-word-of-length")
    assert settings.notify.events == ("warning", "top-up")
    assert settings.gateway.public_url == "https://meter.example.org/prod"
    assert settings.spec("a").extend_by.total_seconds() == 7 * 60
    assert settings.spec("gone").name == "gone"
    assert "pass-word" not in repr(settings) + str(settings.model_dump(mode="json"))


def test_without_a_choice_all_events_are_sent(write):
    settings = load_settings(config=write(_A), environment={})
    assert settings.notify.events == EVENTS
    assert settings.notify.webhooks == settings.notify.apprise == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[endpoints.a]\nmodel = "demo"\n\n# how long?\ndrain_seconds = -1',
            "parkmeter.toml:5: endpoints.a.drain_seconds: must be 0 or more (given: -1)",
        ),
        (
            '[endpoints.a]\nmodel = "demo"\nhours = "Mon-Fry 09:00-17:00 UTC"',
            "parkmeter.toml:3: endpoints.a.hours: \"Mon-Fry 09:00-17:00 UTC\": 'Fry' is not a day",
        ),
        (
            '[endpoints.a]\nmodel = "demo"\nhours = [\n"Mon 09:00-17:00 UTC",\n"Tue 9-17"]',
            "parkmeter.toml:3: endpoints.a.hours: \"Tue 9-17\": '9' is not a time of day",
        ),
        (
            '[endpoints.a]\nmodel = "demo"\nhours = "Mon 09:00-17:00 UTC"\nmax_minutes_ahead = 60',
            "hours: has a window of 480 minutes; max_minutes_ahead is 60 (given: 'Mon 09:00",
        ),
        (
            '[endpoints.a]\nmodel="demo"\nmax_minutes_ahead=1440\nhours="Sun 00:00-24:00 CET"',
            "hours: has a window of 1500 minutes; max_minutes_ahead is 1440 (given: 'Sun 00:00",
        ),
        (
            '[endpoints.a]\nmodel = "demo"\nwake_minutes = 90\nmax_top_up_minutes = 60',
            "endpoints.a.wake_minutes: must not exceed the limit of one top-up (60) (given: 90.0)",
        ),
        (
            '[endpoints.a]\nmodel = "demo"\nhours = []\nidle_minutes = 0',
            "parkmeter.toml:4: endpoints.a.idle_minutes: must be more than 0 (given: 0)",
        ),
        (
            '[endpoints.a]\nmodel = "demo"\nhours = 9',
            'parkmeter.toml:3: endpoints.a.hours: must be text, or a list of texts, such as "Mon-F',
        ),
        (
            '[endpoints]\na.model = "demo"\na.helth = "/ping"',
            "endpoints.a.helth: there is no such setting; did you mean 'health'? (given: '/ping')",
        ),
        (
            '[gateway]\nport = 80\nport = 81\n[endpoints.a]\nmodel = "demo"',
            "parkmeter.toml:3: cannot be read as TOML: Cannot overwrite a value",
        ),
        (
            '[endpoints.a]\nmodel = "demo',
            "parkmeter.toml:2: cannot be read as TOML: Unterminated string at the end",
        ),
        (
            '[gateway]\nport = "http"\n[endpoints.a]\nmodel = "demo"',
            "parkmeter.toml:2: gateway.port: must be a whole number (given: 'http')",
        ),
        (
            '[endpoints.a]\nmodel = "demo"\nmax_waiting = true',
            "parkmeter.toml:3: endpoints.a.max_waiting: must not be true or false (given: True)",
        ),
        (
            '[endpoints.a]\nmodel = "demo"\nwarn_minutes = [\n10,\n"soon"]',
            "parkmeter.toml:3: endpoints.a.warn_minutes.1: must be a number (given: 'soon')",
        ),
        (
            'endpoints = { "a b" = { model = "demo" } }',
            'parkmeter.toml:1: endpoints."a b": a name has at most 63 letters, digits',
        ),
    ],
)
def test_a_mistake_names_file_line_key_and_value_and_what_would_be_right(write, text, expected):
    with pytest.raises(ConfigError) as raised:
        load_settings(config=write(text), environment={})
    assert expected in raised.value.detail


def test_several_mistakes_are_listed_one_a_line_in_the_order_of_the_file(write):
    file = write(
        """[endpoints.qwen]
command = ["vllm", "serve"]
[gateway]
prot = 1
port = 70000
[endpoints.flan]
model = "demo"
stop_grace_seconds = 0
"""
    )
    with pytest.raises(ConfigError) as raised:
        load_settings(config=file, environment={})
    assert raised.value.detail.splitlines() == [
        f"{file}:1: endpoints.qwen: command must contain {{port}}, the port to listen on",
        f"{file}:4: gateway.prot: there is no such setting; did you mean 'port'? (given: 1)",
        f"{file}:5: gateway.port: must be 65535 or less (given: 70000)",
        f"{file}:8: endpoints.flan.stop_grace_seconds: must be more than 0 (given: 0)",
    ]
    assert [mistake["line"] for mistake in raised.value.data["mistakes"]] == [1, 4, 5, 8]


def test_all_invalid_names_are_listed(write):
    file = write(
        '[endpoints."a b"]\nmodel = "demo"\n[endpoints.docs]\nmodel = "demo"\n'
        '[endpoints.x]\nmodel = "demo"\n[endpoints.y]\nmodel = "demo"\napi_resource = "x"'
    )
    with pytest.raises(ConfigError) as raised:
        load_settings(config=file, environment={})
    assert [mistake["line"] for mistake in raised.value.data["mistakes"]] == [1, 3, 9]


def test_a_mistake_in_the_environment_or_on_the_command_line_names_that(write):
    file = write('[gateway]\nport = 1\n[endpoints.a]\nmodel = "demo"')
    with pytest.raises(ConfigError, match=r"^PARKMETER_PORT: gateway.port: must be a whole number"):
        load_settings(config=file, environment={"PARKMETER_PORT": "http"})
    with pytest.raises(ConfigError, match=r"^--port: gateway.port: must be 65535 or less"):
        load_settings(config=file, environment={}, port=70000)


def test_a_missing_file_is_reported():
    with pytest.raises(ConfigError, match="There is no configuration file"):
        load_settings(config=Path("/nowhere/parkmeter.toml"), environment={})


@pytest.mark.parametrize(
    "token", ["short", "with spaces in it, alas", "sha256:" + "0" * 64, "é" * 16]
)
def test_a_bootstrap_token_that_could_not_work_is_refused(token):
    with pytest.raises(ConfigError, match="PARKMETER_BOOTSTRAP_TOKEN"):
        load_settings(environment={"PARKMETER_BOOTSTRAP_TOKEN": token})


def test_a_bootstrap_token_is_never_shown_with_the_settings():
    settings = load_settings(environment={"PARKMETER_BOOTSTRAP_TOKEN": "a-secret-of-16-or-more"})
    assert settings.bootstrap_token == "a-secret-of-16-or-more"
    assert "a-secret" not in repr(settings)


def test_a_model_for_the_embedded_server_needs_its_engine(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)  # as where it is not installed
    file = write('[endpoints.a]\nmodel = "demo"')
    with pytest.raises(ConfigError, match=r":2: endpoints.a.model: needs .* parkmeter\[t5\]"):
        load_settings(config=file, environment={})
    with pytest.raises(ConfigError, match=r"parkmeter\[t5\]"):
        load_settings(environment={})
    other = write('[endpoints.a]\ncommand = ["serve", "{port}"]')
    assert load_settings(config=other, environment={}).endpoints["a"].model is None
