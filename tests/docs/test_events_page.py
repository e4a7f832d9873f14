"""docs/events.md: its description of the format is right, and its code works."""

import base64
import json
import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from parkmeter.config.settings import Settings
from parkmeter.core.events import EVENTS, document
from parkmeter.core.journal import Kind
from parkmeter.notify.webhook import signature, standard_key, standard_signature
from tests.core.test_events import in_berlin, of_kind, world

assert world, "a fixture"

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
SECRET = "a-secret-of-sixteen"
BODY = b'{"id": "1"}'


def code(language: str) -> str:
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def page_code():
    namespace = {}
    exec(compile(code("python"), "docs/events.md", "exec"), namespace)
    return namespace


@pytest.fixture
def verified(page_code):
    return page_code["verified"]


def test_the_ten_lines_verify_what_is_sent(verified):
    now = datetime.now(UTC)
    assert verified(BODY, signature(BODY, SECRET.encode(), now), SECRET)


def test_the_ten_lines_refuse_a_changed_old_or_foreign_event(verified):
    now = datetime.now(UTC)
    header = signature(BODY, SECRET.encode(), now)
    old = now - timedelta(minutes=6)
    assert not verified(BODY + b" ", header, SECRET)
    assert not verified(BODY, header, SECRET + "x")
    assert not verified(BODY, signature(BODY, SECRET.encode(), old), SECRET)
    assert not verified(BODY, header.replace(f"t={int(now.timestamp())}", "t=1"), SECRET)


def test_the_code_for_standard_webhooks_verifies_what_is_sent_and_nothing_else(page_code):
    secret, now = (
        "whsec_" + base64.b64encode(b"twenty-four bytes of key").decode(),
        datetime.now(UTC),
    )

    def headers(at: datetime) -> dict[str, str]:
        signed = standard_signature("1", BODY, standard_key(secret), at)
        stamp = str(int(at.timestamp()))
        return {"webhook-id": "1", "webhook-timestamp": stamp, "webhook-signature": signed}

    verified = page_code["verified_standard"]
    assert verified(BODY, headers(now), secret)
    assert not verified(BODY + b" ", headers(now), secret)
    assert not verified(BODY, headers(now) | {"webhook-id": "2"}, secret)
    assert not verified(BODY, headers(now - timedelta(minutes=6)), secret)
    assert not verified(BODY, headers(now), "whsec_" + base64.b64encode(b"another").decode())


def test_the_example_has_every_member_that_a_warning_has(world):
    world.top_up(20)
    world.wind(timedelta(minutes=11))
    (warning,) = of_kind(world, Kind.WARNING)
    shown, sent = json.loads(code("json")), document(warning, in_berlin)
    assert list(shown) == list(sent)
    for member in set(sent) - {"id", "text", "extend_url"}:
        assert shown[member] == sent[member], member


def test_the_example_of_a_configuration_is_one(monkeypatch):
    monkeypatch.setenv("PARKMETER_HOOK_SECRET", SECRET)
    settings = Settings.model_validate(tomllib.loads(code("toml")))
    assert settings.notify.webhooks[0].secret == SECRET


def test_every_type_is_explained():
    assert set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)) == {str(k) for k in EVENTS}
