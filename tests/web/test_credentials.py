"""Credentials in each of the forms that clients send them in, and mixtures of them."""

from base64 import b64encode

import pytest

from parkmeter.errors import InvalidRequestError, TokenMissingError, TokenRefusedError
from parkmeter.web.auth import TokenBook, secret_in
from parkmeter.web.credentials import CrossSiteBasicError, credential_in
from tests.support.gateway_at_work import NOON, book

TOKEN = "t-invoke"


def basic(pair: str, encoding: str = "utf-8") -> str:
    return f"Basic {b64encode(pair.encode(encoding)).decode()}"


def secret(*fields: tuple[str, str]) -> str:
    """Return the secret that a request with these fields shows."""
    named = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields]
    return secret_in(credential_in(named).decode("latin-1"))


@pytest.mark.parametrize(
    "field",
    [
        ("Authorization", TOKEN),
        ("Authorization", f"Bearer {TOKEN}"),
        ("Authorization", f"bEARER   {TOKEN} "),
        ("Authorization", basic(f"anyone:{TOKEN}")),
        ("Authorization", basic(f":{TOKEN}")),
        ("Authorization", basic(f"x:{TOKEN}").replace("Basic ", "bAsIC   ")),
        ("X-API-Key", TOKEN),
        ("Api-Key", f" {TOKEN}\t"),
    ],
)
def test_one_token_in_each_form(field):
    assert secret(field) == TOKEN


@pytest.mark.parametrize(
    "value",
    [
        "Basic",
        "Basic ",
        "Basic =",
        "Basic !!!!",
        f"Basic {TOKEN}",
        basic(TOKEN),
        basic(f"u:{TOKEN}") + "=",
        basic(f"u:{TOKEN}")[:-2],
        basic(f"u:{TOKEN}").replace("Basic ", "Basic\t"),
        basic(f"u:{TOKEN}") + ", x",
        basic(f"u:{TOKEN}", "utf-16"),
        basic(f"u: sha256:{TOKEN}"),
        basic("u:" + book().check(TOKEN, NOON).digest),
        basic("u:Bearer " + TOKEN),
        "Basic " + "A" * 60_000,
    ],
)
def test_what_is_no_basic_with_a_token_is_refused_as_no_token(value):
    fields = [(b"authorization", value.encode())]
    with pytest.raises(TokenRefusedError):
        book().check(credential_in(fields).decode("latin-1"), NOON)


def test_a_colon_in_the_password_belongs_to_it():
    assert secret(("Authorization", basic("u:a:b"))) == "a:b"


def test_a_password_of_other_letters_is_the_token_of_the_same_bytes():
    assert secret(("Authorization", basic("u:ключ"))) == secret(
        ("X-Api-Key", "ключ".encode().decode("latin-1"))
    )


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("X-Api-Key", "")],
        [("Api-Key", " ")],
        [("Authorization", "Bearer")],
        [("Authorization", basic("user:"))],
        [("Authorization", ""), ("X-Api-Key", " "), ("Api-Key", "")],
    ],
)
def test_an_empty_credential_is_none(fields):
    assert secret(*fields) == ""
    with pytest.raises(TokenMissingError):
        TokenBook().check("", NOON)


@pytest.mark.parametrize(
    "fields",
    [
        [("Authorization", TOKEN), ("X-Api-Key", TOKEN)],
        [("Authorization", f"Bearer {TOKEN}"), ("X-Api-Key", TOKEN), ("Api-Key", TOKEN)],
        [("X-Api-Key", TOKEN), ("Api-Key", TOKEN)],
        [("Authorization", "Bearer "), ("X-Api-Key", TOKEN)],
        [("Authorization", basic("u:")), ("Api-Key", TOKEN)],
        [("Authorization", basic(f"u:{TOKEN}")), ("X-Api-Key", TOKEN), ("Api-Key", "")],
    ],
)
def test_the_same_credential_in_several_headers_is_one(fields):
    assert secret(*fields) == TOKEN


@pytest.mark.parametrize(
    "fields",
    [
        [("Authorization", TOKEN), ("X-Api-Key", "sk-other")],
        [("Authorization", "Bearer sk-other"), ("Api-Key", TOKEN)],
        [("X-Api-Key", TOKEN), ("Api-Key", "sk-other")],
        [("Authorization", TOKEN), ("X-Api-Key", TOKEN), ("Api-Key", "sk-other")],
        [("Authorization", basic(f"{TOKEN}:x")), ("X-Api-Key", TOKEN)],
        [("Authorization", "Basic !!!"), ("X-Api-Key", TOKEN)],
        [("Authorization", TOKEN), ("X-Api-Key", f"Bearer {TOKEN}")],
    ],
)
def test_two_different_credentials_are_refused_and_not_shown(fields):
    with pytest.raises(InvalidRequestError) as refused:
        secret(*fields)
    assert TOKEN not in refused.value.detail
    assert "sk-other" not in refused.value.detail


OWN = ("Host", "Meter.example:8080")


@pytest.mark.parametrize(
    "fields",
    [
        [OWN, ("Origin", "https://evil.example")],
        [OWN, ("Origin", "null")],
        [OWN, ("Origin", "")],
        [OWN, ("Origin", "http://meter.example")],
        [OWN, ("Origin", "http://meter.example:8080.evil.example")],
        [OWN, ("Origin", "http://meter.example:8080 https://evil.example")],
        [OWN, ("Origin", "http://meter.example:8080"), ("Origin", "https://evil.example")],
        [OWN, ("Sec-Fetch-Site", "cross-site")],
        [OWN, ("Sec-Fetch-Site", " Cross-Site ")],
        [OWN, ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
        [OWN, ("Sec-Fetch-Site", "cross-site"), ("Origin", "http://meter.example:8080")],
        [("Origin", "http://")],
        [("Origin", "null")],
    ],
)
def test_a_password_from_the_page_of_another_site_is_refused_and_a_token_is_not(fields):
    with pytest.raises(CrossSiteBasicError):
        secret(*fields, ("Authorization", basic(f"u:{TOKEN}")))
    for name, value in (("Authorization", f"Bearer {TOKEN}"), ("X-Api-Key", TOKEN)):
        assert secret(*fields, (name, value)) == TOKEN


@pytest.mark.parametrize(
    "fields",
    [
        [OWN],
        [OWN, ("Origin", "https://meter.example:8080")],
        [OWN, ("Origin", "http://METER.example:8080"), ("Sec-Fetch-Site", "same-origin")],
        [OWN, ("Sec-Fetch-Site", "none")],
    ],
)
def test_a_password_is_taken_from_programs_and_from_the_gateway_s_own_pages(fields):
    assert secret(*fields, ("Authorization", basic(f"u:{TOKEN}"))) == TOKEN
