"""`parkmeter doctor`: looks at everything a local gateway stands on, and says what to do.

It only looks: it takes no lock for longer than a moment, writes nothing and starts no endpoint, so
it may be run at any time, beside a gateway or without one.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from parkmeter.config.settings import Settings
from parkmeter.doctor import folder, gateway, models, servers, store
from parkmeter.doctor.finding import Finding, Level
from parkmeter.errors import ConfigError
from parkmeter.state_folder import StateFolder

__all__ = ["Finding", "Level", "examine", "config_in_use"]


def examine(state: Path, settings: Settings | ConfigError) -> list[Finding]:
    """Everything that was looked at, good or bad, in the order in which to put it right.

    `settings`: as they were read, or why they could not be.
    """
    return list(_examine(StateFolder(state.expanduser().absolute()), settings))


def config_in_use(state: Path) -> Path | None:
    """The configuration of the gateway that works in a folder, if one does and was named one."""
    holder = gateway.holder_of(StateFolder(state))
    return None if holder is None else holder.config


def _examine(state: StateFolder, settings: Settings | ConfigError) -> Iterator[Finding]:
    now = datetime.now(UTC)
    usable = settings if isinstance(settings, Settings) else None
    if isinstance(settings, ConfigError):
        for line in settings.detail.splitlines():
            yield Finding(Level.WRONG, "configuration", line, "Correct it: parkmeter config check.")
    else:
        yield Finding(Level.GOOD, "configuration", f"endpoints: {', '.join(settings.endpoints)}")
    there = state.path.is_dir()
    yield from folder.examine(state)
    holder = gateway.holder_of(state) if there else None
    yield from gateway.examine(state, holder, usable)
    if there:
        yield from store.examine(state, now, running=holder is not None)
        yield from servers.examine(state, usable, running=holder is not None)
    if usable is not None:
        yield from models.examine(usable)
