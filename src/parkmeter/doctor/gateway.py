"""The gateway of a state folder: whether it runs, answers and keeps time; whether its port is free.

Speaks HTTP with the address in the lock file and needs no token.
"""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

from parkmeter.config.settings import Settings
from parkmeter.doctor.finding import Finding, good, note, wrong
from parkmeter.state_folder import LockHolder, StateFolder

_ANSWERS_WITHIN = 3.0
"""Seconds; a gateway that is well needs some milliseconds."""


def holder_of(state: StateFolder) -> LockHolder | None:
    """The gateway that has the folder, as far as that can be read."""
    try:
        return state.holder()
    except OSError:
        return None


def examine(
    state: StateFolder, holder: LockHolder | None, settings: Settings | None
) -> Iterator[Finding]:
    """Look at the running gateway, or at the port the next one will want."""
    if holder is None:
        yield note("gateway", f"none works in {state.path}", "Start one: parkmeter up")
        if settings is not None:
            yield from _port(settings)
        return
    yield _health(holder)
    client = state.client()
    if client is None:
        yield wrong(
            "client.json",
            f"{state.client_file} is missing or cannot be read",
            "Start the gateway anew with PARKMETER_BOOTSTRAP_TOKEN set: that becomes the token.",
        )
    elif client.url != holder.url:
        yield wrong(
            "client.json",
            f"it says {client.url}, but the gateway answers at {holder.url}",
            "Start the gateway anew: it writes its address.",
        )


def _health(holder: LockHolder) -> Finding:
    where = f"{holder.url} (process {holder.process})"
    own = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine
    try:
        with own.open(f"{holder.url}/health", timeout=_ANSWERS_WITHIN) as answer:
            running = json.load(answer).get("version", "")
    except urllib.error.HTTPError as error:
        with error:
            said = "its clock stands still" if error.code == 503 else f"it says {error.code}"  # noqa: PLR2004
        return wrong("gateway", f"{where}: {said}", _anew(holder))
    except (OSError, ValueError) as error:
        return wrong("gateway", f"{where} does not answer: {error}", _anew(holder))
    return good("gateway", f"{where} answers and its clock goes round; version {running}")


def _anew(holder: LockHolder) -> str:
    return (
        f"End it (kill {holder.process}; kill -9 if need be) and start it anew: leashes keep to "
        "the meters meanwhile."
    )


def _port(settings: Settings) -> Iterator[Finding]:
    host, port = settings.gateway.host, settings.gateway.port
    if port == 0:
        return
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        yield wrong(
            "port",
            f"{host} port {port} cannot be used: {error.strerror}",
            f"See who has it (ss -ltnp 'sport = :{port}'), or name another with --port.",
        )
    else:
        yield good("port", f"{host} port {port} is free")
