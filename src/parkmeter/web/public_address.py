"""The gateway's address as its clients know it: the base of every address they are given. Pure.

It is the configured one; behind a trusted proxy the one that its X-Forwarded headers say; else
what the client called.
"""

import re

from parkmeter.web.asgi import Scope
from parkmeter.web.headers import Fields, base_url, called_in, host_in
from parkmeter.web.peers import TrustedProxies

_PREFIX = re.compile(rb"(/[A-Za-z0-9._~-]{1,64}){1,8}")


class PublicAddress:
    """The rule for addresses. `url`: the configured one, without a slash at its end."""

    def __init__(self, url: str | None = None, proxies: TrustedProxies | None = None) -> None:
        self._url = url
        self._proxies = proxies or TrustedProxies()

    def base(self, address: str, fields: Fields, called: tuple[str, str, str]) -> str:
        """Return the address up to where the gateway's own paths begin.

        `address`: the TCP peer's; `called`: scheme, host and stage as this request has them. Of
        a header that several proxies wrote the last value counts, which the nearest one wrote; one
        that is not valid is ignored.
        """
        if self._url is not None:
            return self._url
        scheme, host, stage = called
        if not self._proxies.trusts(address):
            return base_url(scheme, host, stage)
        if (proto := _last(fields, b"x-forwarded-proto").lower()) in {b"http", b"https"}:
            scheme = proto.decode()
        host = host_in(_last(fields, b"x-forwarded-host")) or host
        prefix = _last(fields, b"x-forwarded-prefix").rstrip(b"/")
        if _PREFIX.fullmatch(prefix) and not {b".", b".."} & set(prefix.split(b"/")):
            stage = prefix.decode() + stage
        return base_url(scheme, host, stage)


def public_base(scope: Scope, public: PublicAddress) -> str:
    """Return the address for the client of an ASGI request."""
    client = scope.get("client")
    return public.base(client[0] if client else "", scope["headers"], called_in(scope))


def _last(fields: Fields, name: bytes) -> bytes:
    values = [value for field, value in fields if field == name]
    return values[-1].rpartition(b",")[2].strip() if values else b""
