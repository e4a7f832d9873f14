"""The person who asks, as a party that may speak for others names them. Pure.

A trusted proxy that shows its secret names the person in one configured header, a token marked
`speaks_for_others` in Open WebUI's. The name is shown in journal and receipt and gives no right.
"""

import hmac
from dataclasses import replace

from parkmeter.core.token_names import is_readable
from parkmeter.core.tokens import Token
from parkmeter.errors import InvalidRequestError
from parkmeter.web.headers import Fields
from parkmeter.web.peers import TrustedProxies

PROXY_SECRET = b"parkmeter-proxy-secret"
BY_APPLICATION = b"x-openwebui-user-email"

_LONGEST_NAME = 128


class Persons:
    """The rule for names of persons. `secret` and `header` are those of trusted proxies."""

    def __init__(
        self,
        proxies: TrustedProxies | None = None,
        secret: str | None = None,
        header: str | None = None,
    ) -> None:
        self._proxies = proxies or TrustedProxies()
        self._secret = (secret or "").encode()
        self._header = (header or "").lower().encode()

    def speaking(self, address: str, fields: Fields, token: Token) -> Token:
        """Return the token, named `PERSON by TOKEN` if a person is named in these header fields.

        `address`: the TCP peer's. A proxy's word comes before that of the token's holder. The same
        headers of any other sender are not looked at.

        Raises:
            InvalidRequestError: the name cannot be read, or there are two.

        """
        person = ""
        if self._header and self._is_proxy(address, fields):
            person = _name_in(fields, self._header)
        if not person and token.speaks_for_others:
            person = _name_in(fields, BY_APPLICATION)
        return replace(token, name=f"{person} by {token.name}") if person else token

    def _is_proxy(self, address: str, fields: Fields) -> bool:
        if not (self._secret and self._proxies.trusts(address)):
            return False
        shown = [value for name, value in fields if name == PROXY_SECRET]
        return len(shown) == 1 and hmac.compare_digest(shown[0], self._secret)


def _name_in(fields: Fields, header: bytes) -> str:
    """Return the name in a header; empty if there is none."""
    given = [value.strip() for name, value in fields if name == header]
    if not any(given):
        return ""
    try:
        name = given[0].decode("utf-8")
    except UnicodeDecodeError:
        name = ""
    # Two lines, or two in one, are a client's own and the proxy's: one of them is forged.
    if len(given) > 1 or "," in name or not is_readable(name, _LONGEST_NAME):
        shown = header.decode()
        raise InvalidRequestError(
            f"{shown} must name one person, in at most {_LONGEST_NAME} visible characters without "
            "a comma. Have the proxy replace what its client sends.",
            field=shown,
        )
    return name
