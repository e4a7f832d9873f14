"""Tells a webhook: the event as JSON, signed, by POST. The format is in docs/events.md.

Knows HTTP; when to try again is the outbox's business.
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
"""Seconds for one delivery, from looking up the address to the head of the answer."""


class DeliveryError(Exception):
    """Raised when a receiver did not take an event; says why, without its address."""


class Webhook:
    """Implements `ports.Receiver`. Delivered is what is answered with a status of 200 to 299.

    A redirect is not followed: what is signed for one receiver is none of another's business.
    """

    def __init__(
        self, url: str, secret: str, now: Callable[[], datetime], within: float = WITHIN
    ) -> None:
        self._url = url
        self._secret = secret.encode()
        self._now = now
        self._within = within

    def send(self, event: Event) -> None:
        """See `ports.Receiver`."""
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
        """The status. Its body is not read: it may be endless, and says nothing we act on."""
        async with (
            httpx.AsyncClient(
                timeout=None,
                follow_redirects=False,
                trust_env=not _here(self._url),
            ) as client,
            client.stream("POST", self._url, content=body, headers=headers) as answer,
        ):
            return answer.status_code


def _here(url: str) -> bool:
    """Whether it is on this very machine, where no proxy of the environment leads."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def signature(body: bytes, secret: bytes, at: datetime) -> str:
    """The value of `Parkmeter-Signature`: the time it was sent, and HMAC-SHA256 over both."""
    stamp = str(int(at.timestamp()))
    signed = hmac.new(secret, f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={signed}"
