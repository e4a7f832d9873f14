"""A receiver that posts events to a webhook as signed JSON. docs/events.md has the format.

Retries are the dispatcher's.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx2 as httpx

from parkmeter._version import __version__
from parkmeter.core.events import Event, document
from parkmeter.notify.receiver import GoneError

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
        self._now = now
        self._within = within

    def send(self, event: Event) -> None:
        """Post one event; see `Receiver`."""
        body = json.dumps(document(event), ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"parkmeter/{__version__}",
            "Parkmeter-Delivery": event.id,
            "Parkmeter-Signature": signature(body, self._secret, self._now()),
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
    stamp = str(int(at.timestamp()))
    signed = hmac.new(secret, f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={signed}"
