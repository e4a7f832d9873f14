"""The socket on which the gateway listens, and its address."""

import socket

from parkmeter.errors import ConfigError


def bound(host: str, port: int) -> socket.socket:
    """Return a listening socket; raise ConfigError if the address cannot be used."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"The gateway cannot listen on {host}: {error.strerror}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"The gateway cannot listen on {host} port {port}: {error.strerror}. "
            "Name another port with --port or PARKMETER_PORT."
        ) from error
    listener.set_inheritable(False)
    return listener


def url_of(host: str, port: int) -> str:
    """Return the gateway's own address, for this machine."""
    shown = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 (compared only)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
