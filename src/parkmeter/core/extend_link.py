"""The link in a warning: opened and confirmed, it extends one endpoint once. Pure.

A link is `base64url(offer).base64url(HMAC-SHA256)`. It needs no token, so it can do only what it
was made for, once, before the close that it warns of, and only while the meter's time is otherwise
unchanged.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from parkmeter.core.journal import KEY_LIFETIME, Entry, Kind, fingerprint
from parkmeter.core.meter import Meter, Spec, closes_at, is_open
from parkmeter.errors import ParkmeterError

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ANSWERS = frozenset({Kind.TOP_UP, Kind.EJECT, Kind.EDIT, Kind.REMOVE})
"""Entries that answer a warning: the time is set on purpose after them."""

_LONGEST = 1024
"""Characters; an endpoint's name has 63 at most."""


class LinkUnknownError(ParkmeterError):
    """Raised when an extend link has an invalid signature."""

    code = "link_unknown"
    title = "This link does not work"
    text = (
        "It may have been cut off or changed. Open it once more from the message, or add time with "
        "your token."
    )


class LinkUsedError(ParkmeterError):
    """Raised when an extend link was used already."""

    code = "link_used"
    title = "This link was used already"
    text = (
        "It added {minutes:g} minutes to {endpoint} at {at:%Y-%m-%d %H:%M:%S} UTC, and works once. "
        "Add more time with your token."
    )

    def __init__(self, endpoint: str, minutes: float, at: datetime) -> None:
        super().__init__(endpoint=endpoint, minutes=minutes, at=at)


class LinkLateError(ParkmeterError):
    """Raised when an extend link is used after the close that its message warned of."""

    code = "link_late"
    title = "This link comes too late"
    text = (
        "{endpoint} has closed since, and a link only extends what is running. Add time with your "
        "token: that starts it again."
    )

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint=endpoint)


class LinkOutdatedError(ParkmeterError):
    """Raised when a meter's time was changed since the warning that carried the link."""

    code = "link_outdated"
    title = "Its time was changed already"
    text = (
        "{endpoint} now runs until {closes_at:%Y-%m-%d %H:%M:%S} UTC: its time was changed after "
        "this warning, so this link has added nothing. The next warning has a new one; with your "
        "token you can add time at once."
    )

    def __init__(self, endpoint: str, closes_at: datetime) -> None:
        super().__init__(endpoint=endpoint, closes_at=closes_at)


@dataclass(frozen=True, slots=True)
class Offer:
    """A link's offer until `until`: to add `amount` to a meter as it was warned of.

    `warning`: the number of that entry in the endpoint's journal.
    """

    endpoint: str
    warning: int
    amount: timedelta
    until: datetime

    @property
    def key(self) -> str:
        """Return the idempotency key that makes it work once, in the store.

        From the offer and not from the link's letters: some letters of base64 can be changed
        without changing the content.
        """
        return fingerprint("extend", _serialized(self))


def amount_of(spec: Spec) -> timedelta:
    """Return the time that a link adds: `Spec.extend_by`, as far as one top-up may."""
    return min(spec.extend_by, spec.max_top_up)


def offer_for(warning: Entry, spec: Spec) -> Offer:
    """Return the offer for the link of a warning."""
    close = warning.at + warning.left
    return Offer(
        endpoint=warning.endpoint,
        warning=warning.number,
        amount=amount_of(spec),
        # The key that makes it single-use is forgotten after that time.
        until=min(close, warning.at + KEY_LIFETIME),
    )


def check_offer(offer: Offer, meter: Meter, since: Iterable[Entry], now: datetime) -> None:
    """Check that the meter still is as the offer expects; `since`: entries after its warning.

    A change of its time since has answered the warning: several people who press would buy several
    times over, and a meter that was ejected and bought again is not what the link was for. A crash
    and the credit for a start move the expiry too, but do not answer the warning.

    Raises:
        LinkLateError: it is closed, and only a top-up may start anything.
        LinkOutdatedError: its time was changed; says until when it runs.

    """
    if not is_open(meter, now):
        raise LinkLateError(offer.endpoint)
    if any(entry.kind in _ANSWERS for entry in since):
        raise LinkOutdatedError(offer.endpoint, closes_at(meter, now))


def link_of(offer: Offer, secret: bytes) -> str:
    """Return the last segment of the link's address."""
    content = _serialized(offer).encode()
    return f"{_base64(content)}.{_base64(_signature(content, secret))}"


def offer_in(link: str, secret: bytes, now: datetime) -> Offer:
    """Return the offer in a link.

    Raises:
        LinkUnknownError: not a link, or not signed with this secret.
        LinkLateError: the offer has expired.

    """
    if len(link) > _LONGEST:
        raise LinkUnknownError
    content, _, signature = link.partition(".")
    try:
        text, signed = _bytes(content), _bytes(signature)
    except (binascii.Error, ValueError):
        raise LinkUnknownError from None
    if not hmac.compare_digest(signed, _signature(text, secret)):
        raise LinkUnknownError
    endpoint, warning, amount, until = json.loads(text)
    offer = Offer(endpoint, warning, amount * _MICROSECOND, _EPOCH + until * _MICROSECOND)
    if now >= offer.until:
        raise LinkLateError(offer.endpoint)
    return offer


def _serialized(offer: Offer) -> str:
    """Return the offer as text, short because links are sent in short messages."""
    amount, until = offer.amount // _MICROSECOND, (offer.until - _EPOCH) // _MICROSECOND
    return json.dumps([offer.endpoint, offer.warning, amount, until], separators=(",", ":"))


def _signature(content: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, b"parkmeter extend\n" + content, hashlib.sha256)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
