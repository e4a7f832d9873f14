"""The names under which a gateway may be called without a token. Pure.

A page of any site can have its own name resolve to 127.0.0.1 and then calls a gateway there as if
it were its own server (DNS rebinding). It has no token, and the name is in the Host header.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address

_LOCALHOST = "localhost"
_LONGEST = 255


class KnownHosts:
    """The `names` a gateway answers to, besides localhost and every literal address.

    A literal address cannot be rebound: the browser has not asked any name server for it. A name
    that begins with `*.` stands for everything below it.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        lower = [name.lower().rstrip(".") for name in names]
        self._names = frozenset(name for name in lower if not name.startswith("*."))
        self._suffixes = tuple(name[1:] for name in lower if name.startswith("*."))
        self._remembered = lru_cache(maxsize=256)(self._is_known)

    def knows(self, field: bytes) -> bool:
        """Return True if this value of a Host header names the gateway; an empty one does."""
        return len(field) <= _LONGEST and self._remembered(field)

    def _is_known(self, field: bytes) -> bool:
        name = host_name(field.decode("latin-1"))
        if not name or name == _LOCALHOST or name.endswith("." + _LOCALHOST):
            return True  # without a name nothing was rebound: clients of HTTP/1.0 send none
        return name in self._names or name.endswith(self._suffixes) or _is_address(name)


def host_name(field: str) -> str:
    """Return the name in a Host header: without its port, in lower case, without a final dot."""
    field = field.strip().lower()
    if field.startswith("["):
        address, end, port = field[1:].partition("]")
        return address if end and (not port or port.startswith(":")) else field
    return field.partition(":")[0].rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
