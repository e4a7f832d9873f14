"""The link in a warning: its content, and that no one else can change it."""

import base64
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkmeter.core.extend_link import (
    LinkLateError,
    LinkUnknownError,
    Offer,
    link_of,
    offer_for,
    offer_in,
)
from parkmeter.core.journal import KEY_LIFETIME, Entry, Kind
from parkmeter.core.meter import Spec
from tests.support.world import MINUTE, NOON

SECRET = b"s" * 32
OFFER = Offer("flan-t5", 7, 30 * MINUTE, NOON + 10 * MINUTE)
LINK = link_of(OFFER, SECRET)


def warning(expires_at=NOON + 10 * MINUTE) -> Entry:
    left, why = expires_at - NOON, "10 min left"
    warning = Entry(
        "flan-t5", Kind.WARNING, NOON, "parkmeter", why, "warn:x", expires_at, left=left
    )
    return replace(warning, number=7)


def test_a_link_says_what_was_offered():
    assert offer_in(LINK, SECRET, NOON) == OFFER
    assert offer_for(warning(), Spec("flan-t5")) == OFFER
    assert len(LINK) < 150


def test_a_link_offers_no_more_than_one_top_up_may_add():
    spec = Spec("flan-t5", extend_by=60 * MINUTE, max_top_up=5 * MINUTE)
    assert offer_for(warning(), spec).amount == 5 * MINUTE


def test_a_link_ends_with_the_expiry_that_it_warns_of():
    assert offer_in(LINK, SECRET, OFFER.until - timedelta(microseconds=1)) == OFFER
    with pytest.raises(LinkLateError):
        offer_in(LINK, SECRET, OFFER.until)


def test_a_link_ends_before_its_use_could_be_forgotten():
    assert offer_for(warning(NOON + timedelta(days=30)), Spec("a")).until == NOON + KEY_LIFETIME


@given(st.integers(0, len(LINK) - 1), st.sampled_from("AB_-.z0 =\n"))
def test_no_letter_can_be_changed(place, letter):
    changed = LINK[:place] + letter + LINK[place + 1 :]
    try:
        found = offer_in(changed, SECRET, NOON)
    except LinkUnknownError:
        return
    # The last letters of base64 have bits that say nothing: the same offer, so used up together.
    assert (found, found.key) == (OFFER, OFFER.key)


def test_a_link_that_is_written_otherwise_is_used_up_with_the_first():
    said, _, signed = LINK.partition(".")
    for other in (f"{said}.{signed}=", f"{said}.{signed[:-1]}{chr(ord(signed[-1]) + 1)}"):
        try:
            assert offer_in(other, SECRET, NOON).key == OFFER.key
        except LinkUnknownError:
            continue


@given(st.text(max_size=80))
def test_nonsense_is_no_link(text):
    with pytest.raises(LinkUnknownError):
        offer_in(text, SECRET, NOON)


def test_a_link_signed_by_somebody_else_is_none():
    more = replace(OFFER, amount=60 * MINUTE)
    payload = json.dumps(["flan-t5", 0, 1, 2]).encode()
    unsigned = base64.urlsafe_b64encode(payload).decode().rstrip("=")
    for link in (link_of(more, b"t" * 32), unsigned, unsigned + ".", "x" * 5000, LINK * 9):
        with pytest.raises(LinkUnknownError):
            offer_in(link, SECRET, NOON)


def test_every_offer_has_a_key_of_its_own():
    others = [
        replace(OFFER, endpoint="falcon"),
        replace(OFFER, amount=31 * MINUTE),
        replace(OFFER, warning=8),
        replace(OFFER, until=NOON),
    ]
    assert len({offer.key for offer in [OFFER, *others]}) == 5
