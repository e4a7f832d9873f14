"""The difference between two configurations, and when each change takes effect. Pure."""

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
        "environment_from",
        "health",
        "health_timeout_seconds",
        "liveness_seconds",
        "model",
        "start_timeout_seconds",
        "stop_command",
        "stop_grace_seconds",
        "user",
    }
)
"""Settings fixed for the length of a run: its leash received them at the start."""

FIXED = ("host", "port", "state")
"""Settings of the gateway that clients, lock and leashes depend on."""


class ReloadRefusedError(ParkmeterError):
    """Raised when a changed configuration needs a restart; `changed` names the settings."""

    code = "reload_refused"
    title = "This change needs a restart of the gateway"

    def __init__(self, changed: Iterable[str]) -> None:
        names = list(changed)
        super().__init__(
            f"Only a restart of the gateway can change {', '.join(names)}. Nothing was changed; "
            "undo it and reload, or restart the gateway (stop it with --keep and its servers keep "
            "running).",
            changed=names,
        )


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes from one configuration to another, by names of endpoints and settings.

    `at_once` and `at_next_start` map an endpoint to its changed settings; those of `gateway` and
    `notify` take effect at once.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    at_once: dict[str, tuple[str, ...]] = field(default_factory=dict)
    at_next_start: dict[str, tuple[str, ...]] = field(default_factory=dict)
    gateway: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return one line of text per change."""
        text = [f"{name}: added" for name in self.added]
        text += [f"{name}: removed; it is stopped, its meter is kept" for name in self.removed]
        text += [f"{name}: {', '.join(keys)}: in effect now" for name, keys in self.at_once.items()]
        text += [
            f"{name}: {', '.join(keys)}: in effect at the next start"
            f" (to apply now: eject {name} and top it up)"
            for name, keys in self.at_next_start.items()
        ]
        text += [f"gateway: {', '.join(self.gateway)}: in effect now"] if self.gateway else []
        text += [f"notify: {', '.join(self.notify)}: in effect now"] if self.notify else []
        return text or ["Nothing changed."]


def compare(before: Settings, after: Settings) -> Changes:
    """Return the changes between two configurations.

    Raises:
        ReloadRefusedError: one needs a restart of the gateway; names it.

    """
    fixed = [
        f"gateway.{key}: {getattr(before.gateway, key)} → {getattr(after.gateway, key)}"
        for key in FIXED
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
