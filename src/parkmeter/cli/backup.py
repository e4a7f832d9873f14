"""The commands for the files of a state folder: `backup`, `restore`, `links rotate`.

They need neither token nor address: write access to the folder is the permission.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from parkmeter.cli.command import Argument, Option
from parkmeter.cli.options import AsJson, State

if TYPE_CHECKING:  # importing it takes longer than `--help` may
    from parkmeter.state_folder import StateFolder

Config = Annotated[
    Path | None,
    Option(
        help="parkmeter.toml that names the state folder. Also PARKMETER_CONFIG.",
    ),
]


def backup(
    file: Annotated[
        Path | None,
        Argument(help="[STATE/backups/parkmeter-TIME.sqlite]"),
    ] = None,
    *,
    state: State = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Back up the store; a running gateway is not disturbed.

    The copy has every change acknowledged before the command began: meters, journal, audit, and
    the digests of tokens. It has no secret. FILE may be a folder.
    """
    from parkmeter.stores.backup_files import folder_of, manual_name
    from parkmeter.stores.sqlite_backup import back_up

    folder, name = _folder(state, config), manual_name(datetime.now(UTC))
    target = folder_of(folder.store) / name if file is None else file
    if target.is_dir():
        target /= name
    with _errors(as_json=as_json):
        size = back_up(folder.store, target)
    if as_json:
        print(json.dumps({"file": str(target), "bytes": size}, ensure_ascii=False))
    else:
        print(f"{target} ({size / 1_000_000:.1f} MB)")


def restore(
    file: Annotated[Path, Argument(help="A backup.")],
    *,
    state: State = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Replace the store by a backup. Refused while a gateway is running in the folder.

    The previous store is kept beside the new one. Everything after the backup is lost: time
    bought since then is missing, and tokens revoked since then work again.
    """
    from parkmeter.stores.sqlite_backup import restore as put_back

    folder = _folder(state, config)
    with _errors(as_json=as_json):
        folder.lock()
        try:
            kept = put_back(file, folder.store, datetime.now(UTC))
        finally:
            folder.release()
    if as_json:
        document = {"file": str(folder.store), "kept": None if kept is None else str(kept)}
        print(json.dumps(document, ensure_ascii=False))
        return
    print(f"Restored {file} to {folder.store}.")
    if kept is not None:
        print(f"The previous store is kept: {kept}")
    print("Tokens revoked or rotated since the backup have their old state again. Next:")
    print("  parkmeter up, then parkmeter token list in another terminal")


def rotate_links(*, state: State = None, config: Config = None, as_json: AsJson = False) -> None:
    """Replace the secret that signs the links in warnings; links already sent stop working.

    Later warnings have working links.
    """
    from parkmeter.errors import NoGatewayError
    from parkmeter.gateway.reload import reload_gateway

    folder = _folder(state, config)
    with _errors(as_json=as_json):
        folder.rotate_link_secret()
        running = folder.holder() is not None
        if running:
            try:
                reload_gateway(folder)  # takes up the secret, whatever else it makes of its file
            except NoGatewayError:
                running = folder.holder() is not None
                if running:
                    raise
    if as_json:
        print(json.dumps({"rotated": True, "running": running}))
    else:
        print("Links already sent no longer work; later warnings have new ones.")


@contextmanager
def _errors(*, as_json: bool) -> Iterator[None]:
    """Print an error as the other commands do, and end the command."""
    from parkmeter.errors import ParkmeterError

    try:
        yield
    except ParkmeterError as error:
        if as_json:
            document = {"title": error.title, "detail": error.detail, "code": error.code}
            print(json.dumps(document, ensure_ascii=False), file=sys.stderr)
        else:
            print(f"parkmeter: {error.detail}", file=sys.stderr)
        raise SystemExit(1) from None


def _folder(state: Path | None, config: Path | None) -> "StateFolder":
    """Return the state folder: the one named, else that of the configuration, else the default."""
    from parkmeter.config.load import load_settings, state_folder
    from parkmeter.errors import ConfigError
    from parkmeter.state_folder import StateFolder

    folder = state_folder(state)
    if state is None and (config or os.environ.get("PARKMETER_CONFIG")):
        try:
            folder = load_settings(config=config).gateway.state or folder
        except ConfigError as error:
            print(error.detail, file=sys.stderr)
            raise SystemExit(1) from None
    return StateFolder(folder.expanduser().absolute())
