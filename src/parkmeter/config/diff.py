"""What becomes of other settings while a gateway runs: what changes, and when it counts. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import BaseModel

from parkmeter.config.settings import Settings
from parkmeter.errors import ParkmeterError

AT_NEXT_START = frozenset(
    {
        "command",
        "device",
        "environment",
        "health",
        "health_timeout_seconds",
        "model",
        "start_timeout_seconds",
        "stop_command",
        "stop_grace_seconds",
    }
)
"""Settings that a run keeps from its start to its end: its leash has them in its orders."""

ONCE_FOR_ALL = ("host", "port", "state")
"""Settings of the gateway that clients, lock and leashes hold on to."""


class ReloadRefusedError(ParkmeterError):
    """Raised when a changed configuration needs a restart; `changed` names the settings."""

    code = "reload_refused"
    title = "This change needs a restart of the gateway"

    def __init__(self, changed: Iterable[str]) -> None:
        names = list(changed)
        super().__init__(
            f"Only a restart of the gateway can change {', '.join(names)}. Nothing was changed; "
            "undo it and reload, or stop the gateway (with --keep its servers go on) and start it "
            "again.",
            changed=names,
        )


@dataclass(frozen=True, slots=True)
class Changes:
    """From one configuration to another, by names of endpoints and settings.

    `at_once` and `at_next_start`: which settings of which endpoint; `gateway`, `notify`: theirs, at
    once.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    at_once: dict[str, tuple[str, ...]] = field(default_factory=dict)
    at_next_start: dict[str, tuple[str, ...]] = field(default_factory=dict)
    gateway: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """For people, one change a line."""
        said = [f"{name}: new" for name in self.added]
        said += [f"{name}: removed; it is ended, its meter keeps its time" for name in self.removed]
        said += [f"{name}: {', '.join(keys)}: from now on" for name, keys in self.at_once.items()]
        said += [
            f"{name}: {', '.join(keys)}: at its next start" + _how(name)
            for name, keys in self.at_next_start.items()
        ]
        said += [f"gateway: {', '.join(self.gateway)}: from now on"] if self.gateway else []
        said += [f"notify: {', '.join(self.notify)}: from now on"] if self.notify else []
        return said or ["Nothing changed."]


def compare(before: Settings, after: Settings) -> Changes:
    """What changes from one to the other.

    Raises:
        ReloadRefusedError: what only a new start of the gateway can change; names it.

    """
    fixed = [
        f"gateway.{key}: {getattr(before.gateway, key)} → {getattr(after.gateway, key)}"
        for key in ONCE_FOR_ALL
        if getattr(before.gateway, key) != getattr(after.gateway, key)
    ]
    if fixed:
        raise ReloadRefusedError(fixed)
    at_once: dict[str, tuple[str, ...]] = {}
    at_next_start: dict[str, tuple[str, ...]] = {}
    for name in before.endpoints.keys() & after.endpoints.keys():
        changed = _changed(before.endpoints[name], after.endpoints[name])
        if now := tuple(key for key in changed if key not in AT_NEXT_START):
            at_once[name] = now
        if later := tuple(key for key in changed if key in AT_NEXT_START):
            at_next_start[name] = later
    return Changes(
        added=tuple(name for name in after.endpoints if name not in before.endpoints),
        removed=tuple(name for name in before.endpoints if name not in after.endpoints),
        at_once=dict(sorted(at_once.items())),
        at_next_start=dict(sorted(at_next_start.items())),
        gateway=_changed(before.gateway, after.gateway),
        notify=_changed(before.notify, after.notify),
    )


def _changed(before: BaseModel, after: BaseModel) -> tuple[str, ...]:
    fields = type(before).model_fields
    return tuple(key for key in fields if getattr(before, key) != getattr(after, key))


def _how(name: str) -> str:
    return f" (eject {name} and top it up to have that now)"
