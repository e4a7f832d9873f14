"""The gateway of a state folder: its health, its address and its port.

Sends HTTP to the address in the lock file and needs no token.
"""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

from parkmeter.config.settings import Settings
from parkmeter.core.finding import Finding, good, note, wrong
from parkmeter.state_folder import LockHolder, StateFolder

_TIMEOUT = 3.0
"""Seconds; a healthy gateway needs a few milliseconds."""

_ENDED_BY_A_RESTART = frozenset({"clock_stopped", "no_control_thread", "descriptors_used_up"})


def gateway_in(state: StateFolder) -> LockHolder | None:
    """Return the gateway that holds the folder, as far as its lock can be read."""
    try:
        return state.holder()
    except OSError:
        return None


def examine(
    state: StateFolder, running: LockHolder | None, settings: Settings | None
) -> Iterator[Finding]:
    """Check the running gateway, or the port for the next one."""
    if running is None:
        yield note("gateway", f"none runs in {state.path}", "Start one: parkmeter up")
        if settings is not None:
            yield from _port(settings)
        return
    yield _health(running)
    client = state.client()
    if client is None:
        yield wrong(
            "client.json",
            f"{state.client_file} is missing or cannot be read",
            "Restart the gateway with PARKMETER_BOOTSTRAP_TOKEN set to the token to use.",
        )
    elif client.url != running.url:
        yield wrong(
            "client.json",
            f"it names {client.url}, but the gateway is at {running.url}",
            "Restart the gateway: it writes its address.",
        )


def _health(running: LockHolder) -> Finding:
    where = f"{running.url} (process {running.process})"
    own = urllib.request.build_opener(
        urllib.request.ProxyHandler({})
    )  # no proxy: it is on this machine
    try:
        with own.open(f"{running.url}/health", timeout=_TIMEOUT) as answer:
            version = json.load(answer).get("version", "")
    except urllib.error.HTTPError as error:
        return _unhealthy(error, where, running)
    except (OSError, ValueError) as error:
        return wrong("gateway", f"{where} does not respond: {error}", _restart(running))
    return good("gateway", f"{where} responding, scheduler alive; version {version}")


def _unhealthy(error: urllib.error.HTTPError, where: str, running: LockHolder) -> Finding:
    """Return what a gateway reports that it cannot do; see docs/http.md for the reasons."""
    detail, reasons = f"HTTP {error.code}", set[str]()
    with error, suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
        document = json.load(error)
        detail, reasons = str(document["detail"]), set(document.get("reasons", ()))
    if reasons and reasons.isdisjoint(_ENDED_BY_A_RESTART):
        return wrong("gateway", f"{where}: {detail}", "Mend that first; its log has more.")
    return wrong("gateway", f"{where}: {detail}", _restart(running))


def _restart(running: LockHolder) -> str:
    return (
        f"Stop it (kill {running.process}, or kill -9) and start it again: meanwhile the leashes "
        "enforce the meters."
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
            f"Find its user (ss -ltnp 'sport = :{port}'), or choose another with --port.",
        )
    else:
        yield good("port", f"{host} port {port} is free")
