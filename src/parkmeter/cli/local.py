"""The commands that work on this machine's own files: `config`, `reload`, `doctor`.

They need neither token nor address. Thin: what they do is in `config`, `reloading` and `doctor`,
which are imported when a command runs, so that `--help` stays fast.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from parkmeter.config.settings import EndpointSettings

StateOption = Annotated[
    Path | None, typer.Option(help="State folder of the gateway. [PARKMETER_STATE]")
]
ConfigOption = Annotated[Path | None, typer.Option(help="parkmeter.toml. [PARKMETER_CONFIG]")]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs.")]

config_commands = typer.Typer(
    no_args_is_help=True, help="Look at parkmeter.toml before a gateway does."
)


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(config_commands, name="config")
    app.command()(reload)
    app.command()(doctor)


@config_commands.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="[PARKMETER_CONFIG, else parkmeter.toml]")
    ] = None,
    *,
    config: Annotated[Path | None, typer.Option(help="The same, named as `up` has it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is understood of a configuration, or line by line what is wrong in it."""
    from parkmeter.config.load import load_settings
    from parkmeter.core.money import written
    from parkmeter.errors import ConfigError
    from parkmeter.gateway.notifications import check_receivers

    if file and config:
        raise typer.BadParameter("Name one file: either FILE or --config.")
    named = file or config or Path(os.environ.get("PARKMETER_CONFIG") or "parkmeter.toml")
    try:
        settings = load_settings(config=named)
        check_receivers(settings.notify)
    except ConfigError as error:
        if as_json:
            _print_json({"file": str(named), "valid": False, "detail": error.detail, **error.data})
        else:
            typer.echo(error.detail, err=True)
        raise typer.Exit(1) from None
    if as_json:
        _print_json({"file": str(named), "valid": True, **settings.model_dump(mode="json")})
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("endpoint", "prompts", "runs", "ready within", "$/hour", "first", "drain"):
        # One line each; of a long command the beginning says which it is.
        table.add_column(heading, no_wrap=heading != "runs")
    for name, endpoint in settings.endpoints.items():
        table.add_row(
            name,
            f"/{settings.resource_of(name)}",
            Text(" ".join(endpoint.command or ()), no_wrap=True, overflow="ellipsis")
            if endpoint.command
            else endpoint.model,
            f"{endpoint.start_timeout_seconds:g} s",
            "unknown" if endpoint.price_per_hour is None else written(endpoint.price_per_hour),
            f"{endpoint.initial_provision_time_minutes:g} min",
            f"{endpoint.drain_seconds:g} s",
        )
    console = Console(highlight=False)
    console.print(table)
    for name, endpoint in settings.endpoints.items():
        if said := _by_itself(endpoint):
            console.print(f"{name}  {said}", markup=False)
    gateway = settings.gateway
    console.print(f"gateway  {gateway.host} port {gateway.port}, state in {gateway.state}")
    notify = settings.notify
    if count := len(notify.webhooks) + len(notify.apprise):
        console.print(f"notify   {count} told of {', '.join(notify.events)}")


def _by_itself(endpoint: "EndpointSettings") -> str:
    """What starts and ends it besides people; empty if nothing does."""
    said = [f"hours {'; '.join(endpoint.hours)}"] if endpoint.hours else []
    if endpoint.idle_minutes is not None:
        said.append(f"ejected after {endpoint.idle_minutes:g} min without a prompt")
    if endpoint.wake_minutes is not None:
        said.append(f"a prompt wakes it for {endpoint.wake_minutes:g} min")
    return ", ".join(said)


@config_commands.command()
def schema() -> None:
    """Print the JSON schema of parkmeter.toml, for editors.

    `parkmeter config schema > parkmeter.schema.json`, then as the first line of parkmeter.toml:
    `#:schema ./parkmeter.schema.json`
    """
    from parkmeter.config.schema import config_schema

    _print_json(config_schema())


def reload(
    state: StateOption = None, config: ConfigOption = None, *, as_json: JsonOption = False
) -> None:
    """Have the running gateway apply its changed parkmeter.toml; says what changes when.

    Endpoints whose section is the same are not touched. A wrong file changes nothing. The gateway
    is found by its state folder; with --config by the one that is named in that file.
    """
    from parkmeter.cli.connection import Exit
    from parkmeter.config.load import load_settings, state_folder
    from parkmeter.errors import ConfigError, NoGatewayError
    from parkmeter.gateway.reload import Outcome, reload_gateway
    from parkmeter.state_folder import StateFolder

    try:
        folder = state_folder(state)
        if state is None and (config or os.environ.get("PARKMETER_CONFIG")):
            folder = load_settings(config=config).gateway.state or folder
        outcome = reload_gateway(StateFolder(folder.expanduser().absolute()))
    except (ConfigError, NoGatewayError) as error:
        lines = tuple(error.detail.splitlines())
        outcome = Outcome(applied=False, lines=lines, code=error.code)
    if as_json:
        _print_json({"applied": outcome.applied, "code": outcome.code, "lines": outcome.lines})
    else:
        for line in outcome.lines:
            typer.echo(line, err=not outcome.applied)
        if not outcome.applied and outcome.code == "config_invalid":
            typer.echo("Nothing was changed.", err=True)
    if not outcome.applied:
        raise typer.Exit(Exit.UNREACHABLE if outcome.code == NoGatewayError.code else Exit.ERROR)


def doctor(
    state: StateOption = None, config: ConfigOption = None, *, as_json: JsonOption = False
) -> None:
    """Examine a gateway's folder, store, clock, port, models and servers; say what to do.

    Without --config it reads the file of the gateway that works in the folder. Paths and secrets
    that are named there are looked for as if it ran here.
    """
    from parkmeter.config.load import config_file, load_settings, state_folder
    from parkmeter.doctor import Level, examine, file_at_work
    from parkmeter.errors import ConfigError

    file = config_file(config)
    if file is None and (file := file_at_work(state_folder(state))):
        state = state_folder(state)  # its own, whatever the file says
    try:
        settings = load_settings(config=file, state=state)
        findings = examine(settings.gateway.state or state_folder(state), settings)
    except ConfigError as error:
        findings = examine(state_folder(state), error)
    wrong = any(finding.level is Level.WRONG for finding in findings)
    if as_json:
        _print_json(
            {
                "healthy": not wrong,
                "findings": [
                    {"level": f.level, "what": f.what, "seen": f.seen, "do": f.do} for f in findings
                ],
            }
        )
    else:
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False, soft_wrap=True)
        marks = {Level.GOOD: ("✓", "green"), Level.NOTE: ("!", "yellow"), Level.WRONG: ("✗", "red")}
        width = max(len(finding.what) for finding in findings)
        for finding in findings:
            console.print(
                Text.assemble(marks[finding.level], f" {finding.what:<{width}}  "), end=""
            )
            console.print(Text(finding.seen))
            if finding.do:
                console.print(Text(f"{'':<{width}}    → {finding.do}", "bold"))
    if wrong:
        raise typer.Exit(1)


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
