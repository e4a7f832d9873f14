"""The command line as a whole, with the commands in the order of the help."""

from pathlib import Path
from typing import Annotated

import typer

from parkmeter._version import __version__
from parkmeter.cli import backup, history, local, meters, prompts, tokens
from parkmeter.cli.output import out

_EXIT_CODES = (
    "Exit codes: 0 done, 1 error, 2 wrong usage, 3 gateway not reachable, 4 token refused "
    "(401, 403), 5 meter closed (402), 6 endpoint not serving, or not in time, 7 conflict with "
    "another change (409), 130 Ctrl-C."
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 (typer's callback)
    if wanted:
        out.print(f"parkmeter {__version__}")
        raise typer.Exit


@app.callback(epilog=_EXIT_CODES)
def parkmeter(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Run a parking meter for model endpoints: a GPU endpoint lives only while its meter has time.

    `up` runs a gateway on this machine. All other commands call the gateway of
    PARKMETER_URL and PARKMETER_TOKEN, or else the one on this machine.
    """


@app.command()
def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0: any free one. [8080]")] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder for the store, logs and client.json.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="parkmeter.toml.")] = None,
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="On exit leave servers running on their leashes.")
    ] = False,
) -> None:
    """Run the local gateway until Ctrl-C.

    Settings may also come from PARKMETER_HOST, PARKMETER_PORT, PARKMETER_STATE, PARKMETER_CONFIG.
    """
    from parkmeter.cli import up as gateway

    gateway.run(host=host, port=port, state=state, config=config, keep=keep)


app.command()(meters.status)
app.command("top-up")(meters.top_up)
app.command()(meters.eject)
app.command()(prompts.invoke)
app.command()(history.journal)
app.command()(history.receipt)
app.command()(history.usage)
app.command()(history.logs)
app.add_typer(tokens.app, name="token")
app.command()(tokens.audit)
local.register(app)
backup.register(app)
