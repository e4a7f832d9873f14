"""The gateway's address and token from arguments, environment and `client.json`."""

import json

import pytest

from parkmeter.client.address import address_of
from parkmeter.client.errors import NoAddressError

HERE = "http://127.0.0.1:8080"


@pytest.fixture
def state(tmp_path):
    (tmp_path / "client.json").write_text(json.dumps({"url": HERE, "token": "of-the-file"}))
    return tmp_path


def test_without_anything_else_the_state_folder_says_it(state):
    found = address_of(None, None, state, {})
    assert (found.url, found.token) == (HERE, "of-the-file")


def test_the_folder_may_be_named_by_the_environment(state):
    assert address_of(None, None, None, {"PARKMETER_STATE": str(state)}).url == HERE


def test_the_environment_goes_before_the_file_and_arguments_before_both(state):
    environment = {"PARKMETER_URL": "https://a.example/prod", "PARKMETER_TOKEN": "env"}
    found = address_of(None, None, state, environment)
    assert (found.url, found.token) == ("https://a.example/prod", "env")
    found = address_of("http://b.example/", "mine", state, environment)
    assert (found.url, found.token) == ("http://b.example", "mine")


def test_the_files_token_goes_to_the_files_gateway_only(state):
    assert address_of(f"{HERE}/prod", None, state, {}).token == "of-the-file"
    assert address_of("http://elsewhere.example:8080", None, state, {}).token is None
    assert address_of("http://127.0.0.1:9090", None, state, {}).token is None


def test_without_a_gateway_it_says_how_to_get_one(tmp_path):
    with pytest.raises(NoAddressError, match="parkmeter up"):
        address_of(None, None, tmp_path, {})


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8080",
        "ftp://a.example",
        "http://",
        "http://a:b",
        "http://a/?b=c",
        "x",
        "http://a b",
        "http://a\x7f",
    ],
)
def test_what_is_no_address_is_refused(url, tmp_path):
    with pytest.raises(NoAddressError, match="not the address"):
        address_of(url, None, tmp_path, {})


def test_a_token_that_could_not_be_a_header_is_refused(tmp_path):
    with pytest.raises(NoAddressError, match="copy it again"):
        address_of(HERE, "a\nb", tmp_path, {})


def test_no_token_is_shown_by_accident(state):
    assert "of-the-file" not in repr(address_of(None, None, state, {}))


@pytest.mark.parametrize(
    ("url", "local", "on_aws"),
    [
        (HERE, True, False),
        ("http://localhost:1/prod", True, False),
        ("http://[::1]:8080", True, False),
        ("https://x1.execute-api.eu-west-1.amazonaws.com/prod", False, True),
        ("https://meter.example", False, False),
    ],
)
def test_it_knows_what_an_address_can(url, local, on_aws, tmp_path):
    found = address_of(url, None, tmp_path, {})
    assert (found.is_local, found.is_api_gateway) == (local, on_aws)
