"""The store's file, read only: its integrity, its meters and its journal."""

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

from parkmeter.core.finding import Finding, good, note, wrong
from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import Meter, latest_close
from parkmeter.core.time_text import utc
from parkmeter.drivers.process_state import State, take_snapshot
from parkmeter.leash.files import Files
from parkmeter.state_folder import StateFolder
from parkmeter.stores.backup_files import newest, restore_advice
from parkmeter.stores.sqlite_file import SCHEMA
from parkmeter.stores.sqlite_rows import value_of
from parkmeter.stores.store_faults import StoreDamagedError, damage_in

_RECENT = timedelta(days=7)
_NEWEST_LINES = 1000
_AHEAD = timedelta(seconds=5)
_OVERDUE = timedelta(minutes=1)
"""Beyond close and drain: a working gateway needs less."""

_BACKUP_DUE = timedelta(days=2)


def examine(
    state: StateFolder, now: datetime, *, running: bool, backup_days: int | None
) -> Iterator[Finding]:
    """Check the file, its content and its backups.

    `running`: a gateway has it open. `backup_days`: the setting, None if unknown.
    """
    if not state.store.exists():
        yield note("store", f"{state.store} does not exist yet", "`parkmeter up` creates it.")
        return
    try:
        # Read only for SQLite too: damage must not get worse.
        with closing(sqlite3.connect(f"{state.store.as_uri()}?mode=ro", uri=True)) as connection:
            usable = yield from _file(state, connection)
            if usable:
                yield from _journal(connection, now)
                yield from _meters(state, connection, now, running=running)
                yield _backups(state, now, running=running, days=backup_days)
    except StoreDamagedError:
        seen = f"{state.store} is damaged: a row in it cannot be read"
        yield wrong("store", seen, restore_advice(state.store))
    except sqlite3.Error as error:
        yield wrong("store", f"{state.store} cannot be read: {error}", restore_advice(state.store))


def _file(state: StateFolder, connection: sqlite3.Connection) -> Generator[Finding, None, bool]:
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if schema > SCHEMA:
        yield wrong(
            "store",
            f"{state.store} was written by a newer parkmeter (schema {schema}, this one knows "
            f"{SCHEMA})",
            "Upgrade parkmeter, or name another state folder.",
        )
        return False
    if damage := damage_in(connection, "integrity_check(3)"):
        yield wrong("store", f"{state.store} is damaged: {damage}", restore_advice(state.store))
        return False
    if schema < SCHEMA:
        yield note("store", f"intact, older schema ({schema})", "The next start upgrades it.")
        return False
    yield good("store", f"intact (schema {schema})")
    return True


def _journal(connection: sqlite3.Connection, now: datetime) -> Iterator[Finding]:
    rows = connection.execute(
        "SELECT body FROM journal ORDER BY number DESC LIMIT ?", (_NEWEST_LINES,)
    )
    entries = [value_of(Entry, body) for (body,) in rows]
    newest = max((entry.at for entry in entries), default=now)
    if newest > now + _AHEAD:
        yield wrong(
            "clock",
            f"the journal's newest entry is from the future ({utc(newest)}): "
            "the machine's clock was set back",
            "Set the clock (timedatectl set-ntp true). Until then meters close too late.",
        )
    jumps = [e for e in entries if e.kind is Kind.CLOCK and e.at > now - _RECENT]
    if jumps:
        last = max(jumps, key=lambda entry: entry.at)
        yield note(
            "clock",
            f"{len({entry.at for entry in jumps})} jumps in the last 7 days, the last one at "
            f"{utc(last.at)}: {last.why}",
            "Normal for a machine that sleeps; on a server check NTP.",
        )
    elif newest <= now + _AHEAD:
        yield good("clock", "no jumps in the last 7 days")


def _meters(
    state: StateFolder, connection: sqlite3.Connection, now: datetime, *, running: bool
) -> Iterator[Finding]:
    rows = connection.execute("SELECT name, body FROM meters WHERE settled = 0")
    late = []
    for name, body in rows:
        close = latest_close(value_of(Meter, body))
        if now > close + _OVERDUE:
            late.append(name)
            yield _overdue(state, name, close, running=running)
    if not late:
        yield good("meters", "none is overdue")


def _backups(state: StateFolder, now: datetime, *, running: bool, days: int | None) -> Finding:
    backup = newest(state.backups)
    if backup is None:
        if running and days:
            return good("backup", "none yet; the gateway makes one each day")
        return note("backup", "there is none", "Make one: parkmeter backup")
    made = datetime.fromtimestamp(backup.stat().st_mtime, UTC)
    if running and days and now - made > _BACKUP_DUE:
        do = "The gateway's log says why there is no newer one. Now: parkmeter backup"
        return wrong("backup", f"newest: {utc(made)}", do)
    return good("backup", f"newest: {utc(made)}")


def _overdue(state: StateFolder, name: str, close: datetime, *, running: bool) -> Finding:
    since = f"{name} closed at {utc(close)}"
    seen = take_snapshot(Files(str(state.endpoints), name))
    if seen.state is State.NOTHING:
        seen_now = f"{since}; its server is gone, not recorded yet"
        return note(
            "meters", seen_now, "" if running else "The next start of the gateway records it."
        )
    if running:
        do = f"See parkmeter status for the reason; log: {state.endpoints / 'logs' / name}.log"
    else:
        do = "Start the gateway, which stops what is overdue: parkmeter up"
    return wrong("meters", f"{since}, but its server still has processes", do)
