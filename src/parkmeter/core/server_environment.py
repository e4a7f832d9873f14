"""Names of variables of the gateway's environment that its model servers do not get. Pure."""

from collections.abc import Collection, Iterable

PASSED_ON = ("HF_TOKEN",)
"""Passed on by default although its name ends like a secret's: model servers download with it."""

_SECRET_ENDINGS = ("_TOKEN", "_SECRET", "_PASSWORD", "_KEY")
_OF_THE_GATEWAY = "PARKMETER_"
_OF_SYSTEMD = frozenset({"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"})


def held_back(
    variables: Iterable[str], read: Collection[str], named: Collection[str]
) -> frozenset[str]:
    """Return the variables that a server does not get.

    These are the gateway's own, always; and unless `named` for the server, those that the
    configuration has `read` with `env:` and those whose names end like a secret's.
    """
    return frozenset(
        name
        for name in variables
        if is_gateways_own(name)
        or (name not in named and (name in read or name.upper().endswith(_SECRET_ENDINGS)))
    )


def is_gateways_own(name: str) -> bool:
    """Return whether a variable is about the gateway and never of use to a server."""
    return name.startswith(_OF_THE_GATEWAY) or name in _OF_SYSTEMD
