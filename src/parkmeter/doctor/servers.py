"""Servers under the leashes of a state folder, and those without a gateway."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import assert_never

from parkmeter.config.settings import Settings
from parkmeter.core.finding import Finding, good, note, wrong
from parkmeter.core.time_text import utc
from parkmeter.drivers.process_state import Snapshot, State, take_snapshot
from parkmeter.leash.elapsed import boot_id
from parkmeter.leash.files import Files, read_json
from parkmeter.state_folder import StateFolder


def examine(state: StateFolder, settings: Settings | None, *, running: bool) -> Iterator[Finding]:
    """Check every endpoint with files here; `running`: a gateway runs in the folder."""
    names = sorted(lock.stem for lock in (state.endpoints / "run").glob("*.lock"))
    found = 0
    for name in names:
        try:
            findings = list(_examine(state, name, settings, running=running))
        except OSError as error:
            why = f"the files of {name} cannot be read: {error.strerror}"
            findings = [wrong("servers", why, "Run the doctor as the user of the gateway.")]
        found += len(findings)
        yield from findings
    if not found:
        yield good("servers", "no orphaned servers")


def _examine(
    state: StateFolder, name: str, settings: Settings | None, *, running: bool
) -> Iterator[Finding]:
    files = Files(str(state.endpoints), name)
    seen = take_snapshot(files)
    match seen.state:
        case State.NOTHING | State.STARTING | State.STOPPING | State.FAILED:
            return
        case State.RUNNING if seen.record.get("damaged"):
            yield note(
                "servers",
                f"{name} runs, but the record of its run is damaged",
                "The gateway stops it and starts it again."
                if running
                else "Start the gateway, which stops it: parkmeter up",
            )
        case State.RUNNING:
            if not running:
                yield note(
                    "servers",
                    f"{_described(name, seen)} runs without a gateway, on its leash{_until(files)}",
                    "Start the gateway, which adopts it; or stop it now: "
                    f"kill {seen.record['leash']}",
                )
            elif settings is not None and name not in settings.endpoints:
                yield note(
                    "servers",
                    f"{_described(name, seen)} is not in this configuration",
                    "Name the gateway's file with --config; it stops what is not in it.",
                )
        case State.ORPHANED if seen.record["boot"] != boot_id():
            yield note(
                "servers",
                f"{name} ran when the machine restarted; no process of it is left",
                "" if running else "The next start of the gateway cleans up.",
            )
        case State.ORPHANED:
            yield wrong(
                "servers",
                f"{_described(name, seen)} has lost its leash; nothing stops what is left of it",
                "The gateway stops it shortly; if it stays, kill its process."
                if running
                else "Start the gateway, which stops it: parkmeter up",
            )
        case _:
            assert_never(seen.state)


def _described(name: str, seen: Snapshot) -> str:
    server = seen.record.get("server")
    return f"{name} (process {server}, port {seen.record['port']})" if server else name


def _until(files: Files) -> str:
    until = (read_json(files.deadline) or {}).get("until")
    if not isinstance(until, float):
        return ""
    return f" until {utc(datetime.fromtimestamp(until, UTC))}"
