"""The JSON schema accepts and refuses what the settings themselves do."""

import tomllib

import jsonschema
import pytest
from pydantic import ValidationError

from parkmeter.config.gateway import GatewaySettings
from parkmeter.config.schema import config_schema
from parkmeter.config.settings import EndpointSettings, Settings

SCHEMA = jsonschema.Draft202012Validator(config_schema())


def fits(text: str) -> tuple[bool, bool]:
    """Return whether the schema accepts it, and whether the settings do."""
    document = tomllib.loads(text)
    try:
        Settings.model_validate(document)
    except ValidationError:
        return SCHEMA.is_valid(document), False
    return SCHEMA.is_valid(document), True


@pytest.mark.parametrize(
    "text",
    [
        '[endpoints.a]\nmodel = "demo"',
        '[endpoints.a]\ncommand = ["x", "--port={port}"]\nwarn_minutes = [1]\nprice_per_hour = 1.2',
        '[gateway]\nport = 0\nstate = "x"\n[endpoints.a-b]\nmodel = "demo"\napi_resource = "b.c"',
        '[endpoints.a]\nmodel = "demo"\nenvironment = { A = "1" }\nhealth = "/a?b=1"',
        '[endpoints.a]\nmodel = "demo"\nhours = "Mon-Fri 09:00-17:00 Etc/GMT+1"\nidle_minutes = 1',
        '[endpoints.a]\nmodel = "demo"\nhours = ["Sat,Sun 22:00-06:00 UTC"]\nwake_minutes = 5',
        '[endpoints.a]\nmodel = "demo"\nmax_in_flight = 8\ncookies = true\npaths = ["/v1/*", "/"]',
        '[endpoints.a]\nmodel = "demo"\npaths = []',
        (
            '[endpoints.a]\nmodel = "demo"\n[notify]\napprise = ["slack://x"]\nevents = ["stop"]\n'
            '[[notify.webhooks]]\nurl = "https://x.org"\nsecret = "of-16-characters"'
        ),
    ],
)
def test_what_is_right_fits(text):
    assert fits(text) == (True, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[endpoints]",
        '[endpoints.a]\nmodel = "demo"\ncommand = ["{port}"]',
        '[endpoints.a]\ncommand = ["x"]',
        '[endpoints.a]\nmodel = "demo"\ndrain_seconds = -1',
        '[endpoints.a]\nmodel = "demo"\nhelth = "/ping"',
        '[endpoints.a]\nmodel = "demo"\nhealth = "ping"',
        '[endpoints.a]\nmodel = "demo"\nhours = "9 to 5"',
        '[endpoints.a]\nmodel = "demo"\nidle_minutes = 0',
        '[endpoints.a]\nmodel = "demo"\nmax_waiting = true',
        '[endpoints.a]\nmodel = "demo"\nmax_in_flight = 0',
        '[endpoints.a]\nmodel = "demo"\npaths = ["/a/../b"]',
        '[endpoints.a]\nmodel = "demo"\npaths = ["/v1*"]',
        '[endpoints.a]\nmodel = "demo"\ncookies = "no"',
        '[endpoints.a]\nmodel = "demo"\napi_resource = "a/b"',
        '[endpoints."a b"]\nmodel = "demo"',
        'bootstrap_token = "a-token-of-16-characters"\n[endpoints.a]\nmodel = "demo"',
        '[endpoints.a]\nmodel = "demo"\n[notify]\nevents = ["started"]',
        '[endpoints.a]\nmodel = "demo"\n[notify]\napprise = ["slack"]',
        '[endpoints.a]\nmodel = "demo"\n[notify]\nwebhooks = [{ url = "https://x.org" }]',
        '[endpoints.a]\nmodel = "demo"\n[[notify.webhooks]]\nurl = "x.org"\nsecret = "env:X"',
        '[endpoints.a]\nmodel = "demo"\n[gateway]\npublic_url = "meter.example.org"',
        '[gateway]\nport = 70000\n[endpoints.a]\nmodel = "demo"',
    ],
)
def test_what_is_wrong_does_not_fit(text):
    document = tomllib.loads(text)
    assert not SCHEMA.is_valid(document)
    if "bootstrap_token" not in document:  # which load_settings refuses
        assert fits(text) == (False, False)


def test_every_setting_is_described_with_its_unit():
    for section in (EndpointSettings, GatewaySettings):
        properties = config_schema()["$defs"][section.__name__]["properties"]
        assert list(properties) == list(section.model_fields)
        for name, described in properties.items():
            about = described["description"].lower()
            for unit in ("seconds", "minutes", "bytes"):
                assert unit in about or not name.endswith(unit), name
    assert (
        "dollars"
        in config_schema()["$defs"]["EndpointSettings"]["properties"]["price_per_hour"][
            "description"
        ].lower()
    )


def test_the_schema_is_a_schema_and_knows_no_null():
    jsonschema.Draft202012Validator.check_schema(config_schema())
    assert "null" not in str(config_schema())
