"""The link in a warning: whoever opens it and confirms extends one endpoint once. Pure.

A link is `base64url(offer).base64url(HMAC-SHA256)`. It needs no token, so it can do nothing but
what it was made for, once, before the close that it warns of, and only while that is the close.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from parkmeter.errors import LinkLateError, LinkOutdatedError, LinkUnknownError
from parkmeter.journal import KEY_LIFETIME, Entry, fingerprint
from parkmeter.meter import Meter, Spec, closes_at, is_open

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 1024
"""Characters; an endpoint's name has 63 at most."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a link does until `until`: add `amount` to a meter that was to close at `expires_at`."""

    endpoint: str
    expires_at: datetime
    amount: timedelta
    until: datetime

    @property
    def key(self) -> str:
        """Makes it work once, in the store.

        From what the link says, and not from its letters: some of base64 can be changed without
        changing what it says.
        """
        return fingerprint("extend", _written(self))


def offer_for(warning: Entry, spec: Spec) -> Offer:
    """What the link of a warning offers."""
    close = warning.at + warning.left
    return Offer(
        endpoint=warning.endpoint,
        expires_at=warning.expires_at,
        amount=min(spec.extend_by, spec.max_top_up),
        # The key that makes it single-use is forgotten after that time.
        until=min(close, warning.at + KEY_LIFETIME),
    )


def check_offer(offer: Offer, meter: Meter, now: datetime) -> None:
    """Pass, if the meter still stands as the offer says.

    Whoever changed its time since has answered the warning: several who press would buy several
    times over, and what was ejected and bought anew is none of this link's business.

    Raises:
        LinkLateError: it is closed, and only a top-up may start anything.
        LinkOutdatedError: its expiry is another one; says until when it runs.

    """
    if not is_open(meter, now):
        raise LinkLateError(offer.endpoint)
    if meter.expires_at != offer.expires_at:
        raise LinkOutdatedError(offer.endpoint, closes_at(meter, now))


def link_of(offer: Offer, secret: bytes) -> str:
    """The last segment of the link's address."""
    said = _written(offer).encode()
    return f"{_base64(said)}.{_base64(_signature(said, secret))}"


def offer_in(link: str, secret: bytes, now: datetime) -> Offer:
    """What a link offers.

    Raises:
        LinkUnknownError: it is none, or not signed with this secret.
        LinkLateError: its time is over.

    """
    if len(link) > _LONGEST:
        raise LinkUnknownError
    said, _, signature = link.partition(".")
    try:
        text, signed = _bytes(said), _bytes(signature)
    except (binascii.Error, ValueError):
        raise LinkUnknownError from None
    if not hmac.compare_digest(signed, _signature(text, secret)):
        raise LinkUnknownError
    endpoint, expires_at, amount, until = json.loads(text)
    offer = Offer(endpoint, _moment(expires_at), amount * _MICROSECOND, _moment(until))
    if now >= offer.until:
        raise LinkLateError(offer.endpoint)
    return offer


def _written(offer: Offer) -> str:
    """Short, because links are sent in messages that are short."""
    moments = [(at - _EPOCH) // _MICROSECOND for at in (offer.expires_at, offer.until)]
    said = [offer.endpoint, moments[0], offer.amount // _MICROSECOND, moments[1]]
    return json.dumps(said, separators=(",", ":"))


def _signature(said: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, b"parkmeter extend\n" + said, hashlib.sha256)


def _moment(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
