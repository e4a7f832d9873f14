"""Credentials: which header of a request holds the caller's token, and in which form. Pure.

`Authorization` holds it bare, after `Bearer`, or as the password of `Basic`; `x-api-key` and
`api-key` hold it bare. Two credentials that differ are refused: choosing one would be a guess.
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping

from parkmeter.errors import InvalidRequestError, TokenRefusedError
from parkmeter.web.headers import Fields

_AUTHORIZATION = b"authorization"
_KEYS = (b"x-api-key", b"api-key")
CREDENTIAL_HEADERS = frozenset({_AUTHORIZATION, *_KEYS})
_BASIC = b"basic "


class CrossSiteBasicError(TokenRefusedError):
    """Raised when the page of another site sends a password: its browser may have added it."""

    text = (
        "`Authorization: Basic` is not taken from pages of another site. Send the token as "
        "`Authorization: Bearer <token>`."
    )


def is_plain(named: Mapping[bytes, bytes], authorization: bytes) -> bool:
    """Return whether the value of Authorization is the credential as it stands.

    Nearly always it is, so this is all that most requests cost. `named`: the fields by name.
    """
    return not (b"x-api-key" in named or b"api-key" in named or authorization[:6].lower() == _BASIC)


def credential_of(named: Mapping[bytes, bytes], fields: Fields) -> bytes:
    """Return the credential as the value of an Authorization header, bare or after `Bearer`.

    It is empty if there is none. `fields`: all header fields; `named`: the same by name.

    Raises:
        InvalidRequestError: two headers hold different credentials.
        CrossSiteBasicError: a page of another site sent `Basic`.

    """
    authorization = named.get(_AUTHORIZATION, b"")
    if is_plain(named, authorization):
        return authorization
    if authorization[:6].lower() == _BASIC:
        if _is_cross_site(named, fields):
            raise CrossSiteBasicError
        authorization = _password_in(authorization)
    given = [(_AUTHORIZATION, _bare(authorization))]
    given += [(name, named[name].strip()) for name in _KEYS if name in named]
    given = [(name, secret) for name, secret in given if secret]
    for name, secret in given[1:]:
        if secret != given[0][1]:
            raise InvalidRequestError(
                f"{given[0][0].decode()} and {name.decode()} hold different credentials. "
                "Send one of them.",
                field=name.decode(),
            )
    return b"Bearer " + given[0][1] if given else b""


def credential_in(fields: Fields) -> bytes:
    """Return the same for the header fields of an ASGI request."""
    return credential_of(dict(fields), fields)


def _bare(authorization: bytes) -> bytes:
    """Return the value without `Bearer`, as `auth.secret_in` does."""
    value = authorization.strip()
    scheme, _, rest = value.partition(b" ")
    return rest.strip() if scheme.lower() == b"bearer" else value


def _password_in(authorization: bytes) -> bytes:
    """Return `Bearer` with the password; of a value that is no valid `Basic`, the value itself.

    That one is then refused like any other credential that is no token.
    """
    try:
        pair = b64decode(authorization[len(_BASIC) :].strip(), validate=True)
    except (binascii.Error, ValueError):
        return authorization
    _, colon, password = pair.partition(b":")
    return b"Bearer " + password if colon else authorization


def _is_cross_site(named: Mapping[bytes, bytes], fields: Fields) -> bool:
    """Return whether a browser says that the page which sends this is of another site.

    Only the host of an Origin counts: behind a proxy the scheme is another one. Without a Host
    every Origin is foreign.
    """
    host = named.get(b"host", b"").strip().lower()
    for name, value in fields:
        if name == b"sec-fetch-site" and value.strip().lower() == b"cross-site":
            return True
        if name == b"origin" and value.strip().lower().partition(b"://")[2] != (host or None):
            return True
    return False
