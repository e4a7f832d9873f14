"""A receiver that posts events to a webhook as signed JSON. docs/events.md has the format.

Signed twice: in parkmeter's own header, and as Standard Webhooks has it. Retries are the
dispatcher's.
"""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx2 as httpx

from parkmeter._version import __version__
from parkmeter.core.events import Event, document
from parkmeter.notify.receiver import GoneError

_STANDARD_PREFIX = "whsec_"

WITHIN = 10.0
"""Seconds for one delivery, from resolving the address to the head of the response."""


class DeliveryError(Exception):
    """Raised when a webhook did not accept an event; gives the reason without the address."""


class Webhook:
    """Implements `Receiver`. An event counts as delivered at a status of 200 to 299.

    A redirect is not followed: what is signed for one receiver must not reach another.
    """

    def __init__(
        self, url: str, secret: str, now: Callable[[], datetime], within: float = WITHIN
    ) -> None:
        self._url = url
        self._secret = secret.encode()
        self._standard_key = standard_key(secret)
        self._now = now
        self._within = within

    def send(self, event: Event) -> None:
        """Post one event; see `Receiver`."""
        body = json.dumps(document(event), ensure_ascii=False).encode()
        at = self._now()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"parkmeter/{__version__}",
            "Parkmeter-Delivery": event.id,
            "Parkmeter-Signature": signature(body, self._secret, at),
            "webhook-id": event.id,
            "webhook-timestamp": _stamp(at),
            "webhook-signature": standard_signature(event.id, body, self._standard_key, at),
        }
        try:
            status = asyncio.run(asyncio.wait_for(self._post(body, headers), self._within))
        except TimeoutError:
            raise DeliveryError(f"no answer within {self._within:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise DeliveryError(f"{type(error).__name__}: {error}") from error
        if status == HTTPStatus.GONE:
            raise GoneError("it answered 410")
        if not 200 <= status < 300:  # noqa: PLR2004 (HTTP's)
            raise DeliveryError(f"it answered {status}")

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        """Return the status. The body is not read: it may be endless, and nothing depends on it."""
        async with (
            httpx.AsyncClient(
                timeout=None,
                follow_redirects=False,
                trust_env=not _is_loopback(self._url),
            ) as client,
            client.stream("POST", self._url, content=body, headers=headers) as response,
        ):
            return response.status_code


def _is_loopback(url: str) -> bool:
    """Return whether the address is on this machine, which no proxy can reach."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def signature(body: bytes, secret: bytes, at: datetime) -> str:
    """Return the value of `Parkmeter-Signature`: the time sent, and an HMAC-SHA256 over both."""
    stamp = _stamp(at)
    signed = hmac.new(secret, f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={signed}"


def standard_signature(id_: str, body: bytes, key: bytes, at: datetime) -> str:
    """Return the value of `webhook-signature`: an HMAC-SHA256 over id, time sent and body."""
    signed = hmac.new(key, f"{id_}.{_stamp(at)}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def standard_key(secret: str) -> bytes:
    """Return the key of `webhook-signature`: what `whsec_…` encodes, or the bytes of the secret.

    A secret that only begins like one, without base64 behind it, was accepted before.
    """
    encoded = secret.removeprefix(_STANDARD_PREFIX)
    if encoded != secret:
        with suppress(ValueError):
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
            return key or secret.encode()
    return secret.encode()


def _stamp(at: datetime) -> str:
    return str(int(at.timestamp()))
