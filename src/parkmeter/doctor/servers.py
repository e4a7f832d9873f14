"""What runs, or ran, under the leashes of a state folder, and whether a gateway cares for it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import assert_never

from parkmeter.config.settings import Settings
from parkmeter.core.time_text import utc
from parkmeter.doctor.finding import Finding, good, note, wrong
from parkmeter.drivers.process_state import Look, State, look
from parkmeter.leash.files import Files, boot_id, read_json
from parkmeter.state_folder import StateFolder


def examine(state: StateFolder, settings: Settings | None, *, running: bool) -> Iterator[Finding]:
    """Look at every endpoint that has files here; `running`: a gateway works in the folder."""
    names = sorted(lock.stem for lock in (state.endpoints / "run").glob("*.lock"))
    found = 0
    for name in names:
        for finding in _examine(state, name, settings, running=running):
            found += 1
            yield finding
    if not found:
        yield good("servers", "none is there without a gateway that cares for it")


def _examine(
    state: StateFolder, name: str, settings: Settings | None, *, running: bool
) -> Iterator[Finding]:
    files = Files(str(state.endpoints), name)
    seen = look(files)
    match seen.state:
        case State.NOTHING | State.BEGINNING | State.ENDING | State.FAILED:
            return
        case State.RUNNING:
            if not running:
                yield note(
                    "servers",
                    f"{_who(name, seen)} runs without a gateway, on its leash{_until(files)}",
                    "Start the gateway, which adopts it; or end it now: "
                    f"kill {seen.record['leash']}",
                )
            elif settings is not None and name not in settings.endpoints:
                yield note(
                    "servers",
                    f"{_who(name, seen)} is in no configuration that was read here",
                    "Name the gateway's file with --config; it ends what it does not know.",
                )
        case State.ORPHANED if seen.record["boot"] != boot_id():
            yield note(
                "servers",
                f"{name} ran when the machine was restarted; nothing of it is left",
                "" if running else "The next start of the gateway tidies up.",
            )
        case State.ORPHANED:
            yield wrong(
                "servers",
                f"{_who(name, seen)} has lost its leash; what is left of it nobody ends",
                "The gateway clears it at its next look; if it does not go, kill its process."
                if running
                else "Start the gateway, which clears it: parkmeter up",
            )
        case _:
            assert_never(seen.state)


def _who(name: str, seen: Look) -> str:
    server = seen.record.get("server")
    return f"{name} (process {server}, port {seen.record['port']})" if server else name


def _until(files: Files) -> str:
    deadline = read_json(files.deadline)
    if deadline is None:
        return ""
    return f" until {utc(datetime.fromtimestamp(deadline['until'], UTC))}"
