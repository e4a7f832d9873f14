"""Names of persons: whose word is taken, and that it is one readable name."""

from dataclasses import replace

import pytest

from parkmeter.core.tokens import Token
from parkmeter.errors import InvalidRequestError
from parkmeter.web.peers import TrustedProxies
from parkmeter.web.persons import Persons
from tests.support.gateway_at_work import NOON

SECRET = "of-sixteen-characters"
TOKEN = Token("webui", "sha256:x", "webui", NOON)
MARKED = replace(TOKEN, speaks_for_others=True)
PROXY, ELSEWHERE = "10.0.0.1", "192.0.2.7"
PERSONS = Persons(TrustedProxies(["10.0.0.0/8"]), SECRET, "X-Forwarded-Email")

SHOWN = ("parkmeter-proxy-secret", SECRET)
ADA = ("x-forwarded-email", "ada@example.org")
BOB = ("x-openwebui-user-email", "bob@example.org")


def name(
    *fields: tuple[str, str], address: str = PROXY, token: Token = TOKEN, persons: Persons = PERSONS
) -> str:
    named = [(field.encode(), value.encode()) for field, value in fields]
    return persons.speaking(address, named, token).name


def test_a_trusted_proxy_with_its_secret_names_the_person():
    assert name(SHOWN, ADA) == "ada@example.org by webui"
    assert name(ADA, SHOWN, BOB) == "ada@example.org by webui"


@pytest.mark.parametrize(
    ("address", "fields"),
    [
        (PROXY, [ADA]),
        (PROXY, [("parkmeter-proxy-secret", SECRET[:-1]), ADA]),
        (PROXY, [("parkmeter-proxy-secret", ""), ADA]),
        (PROXY, [SHOWN, SHOWN, ADA]),
        (PROXY, [("parkmeter-proxy-secret", "x"), SHOWN, ADA]),
        (PROXY, [("parkmeter_proxy_secret", SECRET), ADA]),
        (ELSEWHERE, [SHOWN, ADA]),
        (ELSEWHERE, [SHOWN, ADA, ("x-forwarded-for", PROXY)]),
        ("", [SHOWN, ADA]),
        (PROXY, [SHOWN, ("x_forwarded_email", "eve")]),
        (PROXY, [SHOWN, BOB]),
        (PROXY, [SHOWN, ("x-forwarded-email", "")]),
    ],
)
def test_any_other_sender_names_no_person(address, fields):
    assert name(*fields, address=address) == "webui"


def test_without_a_secret_or_a_header_no_proxy_names_anyone():
    proxies = TrustedProxies([PROXY])
    for persons in (Persons(proxies), Persons(proxies, None, "X-Forwarded-Email")):
        assert name(("parkmeter-proxy-secret", ""), ADA, persons=persons) == "webui"
    assert name(SHOWN, ADA, persons=Persons(proxies, SECRET)) == "webui"


def test_a_token_that_speaks_for_others_names_the_person_from_anywhere():
    assert name(BOB, address=ELSEWHERE, token=MARKED) == "bob@example.org by webui"
    assert name(ADA, BOB, address=ELSEWHERE, token=MARKED) == "bob@example.org by webui"
    assert name(SHOWN, ADA, BOB, token=MARKED) == "ada@example.org by webui"
    assert name(BOB, address=ELSEWHERE) == "webui"
    assert name(token=MARKED) == "webui"


def test_a_name_gives_no_right_and_leaves_the_token_what_it_is():
    named = PERSONS.speaking(ELSEWHERE, [(b"x-openwebui-user-email", b"owner")], MARKED)
    assert replace(named, name="webui") == MARKED


@pytest.mark.parametrize(
    "fields",
    [
        [ADA, ADA],
        [ADA, ("x-forwarded-email", "")],
        [("x-forwarded-email", "eve@example.org, ada@example.org")],
        [("x-forwarded-email", "ada\u202e")],
        [("x-forwarded-email", "a\u3164da")],
        [("x-forwarded-email", "a" * 129)],
    ],
)
def test_a_name_that_is_two_or_cannot_be_read_is_refused(fields):
    with pytest.raises(InvalidRequestError, match="x-forwarded-email must name one person"):
        name(SHOWN, *fields)
    assert name(*fields) == "webui"  # from others it is not even looked at


def test_a_name_that_is_no_text_is_refused():
    fields = [(b"x-openwebui-user-email", b"ad\xe4")]
    with pytest.raises(InvalidRequestError):
        PERSONS.speaking(ELSEWHERE, fields, MARKED)
