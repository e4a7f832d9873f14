"""The addresses under which a listening gateway is reached, for the first screen."""

import socket
import struct
from ipaddress import ip_address
from pathlib import Path

_GET_ADDRESS = 0x8915
"""SIOCGIFADDR of Linux."""


def is_local(host: str) -> bool:
    """Return True if only this machine reaches what listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def reached_at(host: str) -> list[str]:
    """Return the addresses of `host`; of a wildcard, those of all interfaces that are known."""
    if host in {"", "0.0.0.0"}:  # noqa: S104 (compared only)
        return _ipv4()
    if host == "::":
        return [*_ipv4(), *_ipv6()]
    return [host]


def _ipv4() -> list[str]:
    import fcntl  # noqa: PLC0415 (of Unix)

    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(asking, _GET_ADDRESS, request)
            except OSError:  # it has none, or the system is not Linux
                continue
            found.append(socket.inet_ntoa(answer[20:24]))
    return found


def _ipv6() -> list[str]:
    try:
        lines = Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    addresses = (
        socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line.split()[0])) for line in lines
    )
    # Link-local ones are of no use without the interface's name.
    return [address for address in addresses if not ip_address(address).is_link_local]
