"""Cross-origin requests (CORS): which pages of other sites may read answers. Pure.

Only exact origins are allowed, and never with what a browser adds itself (cookies, passwords): a
page sends its own token. What a model server says of origins is dropped.
"""

import re
from collections.abc import Iterable, Mapping

from parkmeter.web.headers import Fields

_METHODS = b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
_EXPOSED = (
    b"Retry-After, X-Should-Retry, Parkmeter-Seconds-Left, Parkmeter-Expires-At, "
    b"Preference-Applied, Idempotency-Replayed, Request-Id"
)
_MAX_AGE = b"600"
"""Seconds for which a browser keeps the answer to a preflight."""

_NAMES = re.compile(rb"[A-Za-z0-9_-]{1,64}( *, *[A-Za-z0-9_-]{1,64}){0,63}")
_CREDENTIALS = (b"authorization", b"x-api-key", b"api-key")
_VARY = [(b"vary", b"Origin")]
_VARY_PREFLIGHT = (
    b"vary",
    b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
)


class CrossOrigin:
    """The rule for pages of other origins; `origins` as browsers send them."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._fields: dict[bytes, Fields] = {
            origin.encode(): [
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-expose-headers", _EXPOSED),
                *_VARY,
            ]
            for origin in origins
        }
        self._lines = {
            origin: b"".join(b"%b: %b\r\n" % field for field in fields)
            for origin, fields in self._fields.items()
        }

    def fields(self, named: Mapping[bytes, bytes]) -> Fields:
        """Return the fields of every answer to a request with these header fields, by name."""
        return self._fields.get(named.get(b"origin", b""), _VARY)

    def lines(self, named: Mapping[bytes, bytes]) -> bytes:
        """Return the same as lines of a head, each with its end."""
        return self._lines.get(named.get(b"origin", b""), b"vary: Origin\r\n")

    def answers(self, method: str, named: Mapping[bytes, bytes]) -> bool:
        """Return whether the gateway itself answers, for this is a browser's preflight.

        That of a page that is not allowed has no token, which a preflight never has.
        """
        if not _is_preflight(method, named):
            return False
        return named[b"origin"] in self._fields or not any(name in named for name in _CREDENTIALS)

    def preflight(self, method: str, named: Mapping[bytes, bytes]) -> Fields | None:
        """Return the fields of the answer to a preflight of an allowed origin; else None.

        A preflight never has a token, so any route answers it, whether it exists or not.
        """
        origin = named.get(b"origin", b"")
        if origin not in self._fields or not _is_preflight(method, named):
            return None
        found = [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-max-age", _MAX_AGE),
            _VARY_PREFLIGHT,
        ]
        wanted = named.get(b"access-control-request-headers", b"").strip()
        if _NAMES.fullmatch(wanted):
            found.append((b"access-control-allow-headers", wanted))
        return found


def _is_preflight(method: str, named: Mapping[bytes, bytes]) -> bool:
    return method == "OPTIONS" and b"origin" in named and b"access-control-request-method" in named


NO_ORIGINS = CrossOrigin(())
"""The rule of a gateway whose answers no page of another origin may read."""
