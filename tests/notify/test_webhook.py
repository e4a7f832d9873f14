"""Webhooks, by a real HTTP receiver."""

import base64
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from parkmeter.core.events import Event
from parkmeter.core.journal import Entry, Kind
from parkmeter.notify.receiver import GoneError
from parkmeter.notify.webhook import (
    DeliveryError,
    Webhook,
    signature,
    standard_key,
    standard_signature,
)
from tests.support.receiver import Inbox, drip, endless, hang, receiver, status

NOON = datetime(2026, 6, 22, 12, 0, tzinfo=UTC)
SECRET = "a-secret-of-sixteen"
EVENT = Event.of(
    Entry(
        "flan-t5",
        Kind.STOP,
        NOON,
        "parkmeter",
        "time used up, ça alors",
        "stop:1",
        expires_at=NOON + timedelta(hours=1),
        price_per_hour=Decimal("7.09"),
    )
)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with receiver() as made:
        yield made


def hook(url: str, within: float = 5.0) -> Webhook:
    return Webhook(url, SECRET, lambda: NOON, within)


def test_an_event_is_posted_as_json_with_its_id_and_a_signature(inbox):
    hook(inbox.url).send(EVENT)
    (delivery,) = inbox.got
    assert delivery.headers["Content-Type"] == "application/json"
    assert delivery.headers["Parkmeter-Delivery"] == delivery.json["id"] == EVENT.id
    stamp = int(NOON.timestamp())
    signed = delivery.headers["Parkmeter-Signature"]
    assert signed.startswith(f"t={stamp},v1=")
    assert signed == signature(delivery.body, SECRET.encode(), NOON)
    assert signed != signature(delivery.body, b"another-secret-of-16", NOON)
    assert signed != signature(delivery.body + b" ", SECRET.encode(), NOON)
    assert signed[-64:] != signature(delivery.body, SECRET.encode(), NOON + timedelta(1))[-64:]


def test_it_is_also_signed_as_standard_webhooks_has_it(inbox):
    secret = "whsec_" + base64.b64encode(b"twenty-four bytes of key").decode()
    Webhook(inbox.url, secret, lambda: NOON).send(EVENT)
    (delivery,) = inbox.got
    id_, stamp = delivery.headers["webhook-id"], delivery.headers["webhook-timestamp"]
    assert (id_, stamp) == (EVENT.id, str(int(NOON.timestamp())))
    key = b"twenty-four bytes of key"
    assert delivery.headers["webhook-signature"] == standard_signature(
        id_, delivery.body, key, NOON
    )
    # Our own header is keyed by the secret as it is written, as before.
    assert delivery.headers["Parkmeter-Signature"] == signature(
        delivery.body, secret.encode(), NOON
    )


def test_a_standard_signature_is_the_one_that_the_library_of_standard_webhooks_makes():
    key = standard_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    signed = standard_signature("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', key, at)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [SECRET, "whsec_not base64 at all", "whsec_é", "whsec_"])
def test_any_other_secret_is_its_own_key(secret):
    assert standard_key(secret) == secret.encode()


@pytest.mark.parametrize("encoded", ["YWJjZA==", "YWJjZA"])
def test_the_key_is_what_the_secret_encodes_with_or_without_padding(encoded):
    assert standard_key(f"whsec_{encoded}") == b"abcd"


@pytest.mark.parametrize("code", [200, 202, 204])
def test_every_success_is_delivered(inbox, code):
    inbox.troubles = [status(code)]
    hook(inbox.url).send(EVENT)


@pytest.mark.parametrize("code", [400, 401, 404, 429, 500, 503])
def test_everything_else_is_not(inbox, code):
    inbox.troubles = [status(code)]
    with pytest.raises(DeliveryError, match=f"it answered {code}"):
        hook(inbox.url).send(EVENT)


def test_no_redirect_is_followed(inbox):
    with receiver() as other:
        inbox.troubles = [status(307, Location=other.url)]
        with pytest.raises(DeliveryError, match="307"):
            hook(inbox.url).send(EVENT)
        assert other.got == []


def test_a_410_raises_gone(inbox):
    inbox.troubles = [status(410)]
    with pytest.raises(GoneError):
        hook(inbox.url).send(EVENT)


def test_one_that_hangs_or_answers_byte_by_byte_is_given_up(inbox):
    released = threading.Event()
    for trouble in (hang(released), drip):
        inbox.troubles = [trouble]
        begun = time.monotonic()
        with pytest.raises(DeliveryError, match=r"no answer within 0\.5 s"):
            hook(inbox.url, within=0.5).send(EVENT)
        assert time.monotonic() - begun < 2
    released.set()


def test_an_answer_that_never_ends_is_an_answer(inbox):
    inbox.troubles = [endless]
    begun = time.monotonic()
    hook(inbox.url).send(EVENT)
    assert time.monotonic() - begun < 2


def test_an_unreachable_address_is_reported_without_the_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/secret-path"
        with pytest.raises(DeliveryError) as refused:
            hook(url).send(EVENT)
    assert "secret-path" not in str(refused.value)


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(inbox, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    hook(inbox.url).send(EVENT)
    assert len(inbox.got) == 1
