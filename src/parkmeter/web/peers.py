"""The peer of a request: the address that limits and delays per peer count. Pure.

It is the TCP peer, or what a trusted proxy says of its own peer in X-Forwarded-For. That header
proves nothing from any other sender, for any client can write it.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network

from parkmeter.web.headers import Fields

_HEADER = b"x-forwarded-for"
_HOPS_READ = 16
"""Addresses of one header that are looked at, from its end; a longer chain is not a real one."""

_LONGEST_ADDRESS = 64
_PREFIX = 64
"""Bits of an IPv6 address that tell two sites apart: one site has all addresses behind them."""


class TrustedProxies:
    """The proxies whose X-Forwarded-For is believed; `networks` as in `10.0.0.0/8` or `::1`.

    Raises:
        ValueError: one is neither an address nor a network.

    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(ip_network(network, strict=False) for network in networks)
        self._known = lru_cache(maxsize=1024)(self._contains)

    def trusts(self, address: str) -> bool:
        """Return True if this address is a trusted proxy's."""
        return bool(self._networks) and self._known(address)

    def peer_of(self, address: str, fields: Fields) -> str:
        """Return the peer of a request that came from `address` with these header fields.

        Behind trusted proxies it is the last address of X-Forwarded-For that is not a trusted
        proxy's; if each of them is one, the TCP peer.
        """
        if not self.trusts(address):
            return address
        chain = b",".join(value for name, value in fields if name == _HEADER)
        for hop in reversed(chain.rsplit(b",", _HOPS_READ)):
            named = _bare(hop.decode("latin-1").strip())
            if not named:
                break  # what a proxy did not write says nothing of what stands before it
            if not self.trusts(named):
                return named
        return address

    def _contains(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._networks)


@lru_cache(maxsize=4096)
def peer_key(address: str) -> str:
    """Return the key under which a peer is counted: an IPv4 address, or the /64 of an IPv6 one."""
    if ":" not in address:
        return address
    try:
        found = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address[:_LONGEST_ADDRESS]
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Network((found, _PREFIX), strict=False))


def _bare(hop: str) -> str:
    """Return the address of one hop, without port and brackets; empty if it is not an address."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return str(ip_address(hop)) if len(hop) <= _LONGEST_ADDRESS else ""
    except ValueError:
        return ""
