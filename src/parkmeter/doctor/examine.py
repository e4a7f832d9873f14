"""All checks of the doctor, in order.

Read only: it holds no lock for longer than a moment, writes nothing and starts no endpoint, so it
may run at any time, with or without a gateway.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from parkmeter.config.settings import Settings
from parkmeter.core.finding import Finding, Level
from parkmeter.doctor import folder, gateway, models, servers, store
from parkmeter.errors import ConfigError
from parkmeter.state_folder import StateFolder


def examine(state: Path, settings: Settings | ConfigError) -> list[Finding]:
    """Return all findings, good and bad, in the order in which to fix them.

    `settings`: the valid settings, or their error.
    """
    return list(_examine(StateFolder(state.expanduser().absolute()), settings))


def config_in_use(state: Path) -> Path | None:
    """Return the configuration file of the gateway that runs in a folder, if both exist."""
    running = gateway.gateway_in(StateFolder(state))
    return None if running is None else running.config


def _examine(state: StateFolder, settings: Settings | ConfigError) -> Iterator[Finding]:
    now = datetime.now(UTC)
    usable = settings if isinstance(settings, Settings) else None
    if isinstance(settings, ConfigError):
        for line in settings.detail.splitlines():
            yield Finding(
                Level.WRONG, "configuration", line, "Correct it, then: parkmeter config check"
            )
    else:
        yield Finding(Level.GOOD, "configuration", f"endpoints: {', '.join(settings.endpoints)}")
    exists = state.path.is_dir()
    yield from folder.examine(state)
    running = gateway.gateway_in(state) if exists else None
    yield from gateway.examine(state, running, usable)
    if exists:
        days = None if usable is None else usable.gateway.backup_days
        yield from store.examine(state, now, running=running is not None, backup_days=days)
        yield from servers.examine(state, usable, running=running is not None)
    if usable is not None:
        yield from models.examine(usable)
