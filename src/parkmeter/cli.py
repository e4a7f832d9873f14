"""The command line. Thin: it reads settings, runs the gateway, and prints what people read."""

import logging
import shlex
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from parkmeter import cli_local
from parkmeter.config import Settings, load_settings
from parkmeter.errors import ParkmeterError
from parkmeter.gateway import STAGE, Gateway, Started
from parkmeter.meter import Report, Status

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

_BANNER_WAITS_SECONDS = 5.0
"""For the endpoints that start at once; a slow one is shown as starting."""

_COLOURS = {
    Status.RUNNING: "green",
    Status.STARTING: "yellow",
    Status.STOPPING: "yellow",
    Status.STOPPED: "dim",
    Status.FAILED: "red",
}

_PROMPT = '{"text_inputs": "write a story about beautiful weather on a tropical island."}'


def _print_version(wanted: bool) -> None:  # noqa: FBT001 (typer's callback)
    if wanted:
        out.print(f"parkmeter {version('parkmeter')}")
        raise typer.Exit


@app.callback()
def parkmeter(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """A parking meter for model endpoints: a GPU endpoint lives only while its meter holds time."""


@app.command()
def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0: any free one. [8080]")] = None,
    state: Annotated[Path | None, typer.Option(help="Folder of store, logs, client.json.")] = None,
    config: Annotated[Path | None, typer.Option(help="parkmeter.toml.")] = None,
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="At the end leave the servers to their leashes.")
    ] = False,
) -> None:
    """Run the local gateway until Ctrl-C.

    Settings may also come from PARKMETER_HOST, PARKMETER_PORT, PARKMETER_STATE, PARKMETER_CONFIG.
    """
    _log_to_stderr()

    def read() -> Settings:
        return load_settings(config=config, host=host, port=port, state=state)

    try:
        left = Gateway(read(), keep=keep, reread=read).run(_banner)
    except ParkmeterError as error:
        err.print(Text.assemble(("parkmeter: ", "bold red"), error.detail))
        raise typer.Exit(1) from None
    ending = "Endpoints are stopped."
    if keep:
        ending = "Servers run on until their meters close."
    elif left:
        ending = f"Still stopping, watched by their leashes: {', '.join(left)}."
    out.print(f"{ending} Meters keep their expiry: time goes on while the gateway is away.")


cli_local.register(app)


def main() -> None:
    """The `parkmeter` command."""
    app()


# ── What `up` prints ────────────────────────────────────────────────────────────────────────────


def _banner(started: Started) -> None:
    reports = _settled_reports(started)
    short = ".".join(version("parkmeter").split(".")[:2])
    out.print(
        Text.assemble(
            (f"parkmeter {short}", "bold"),
            f"  {started.url}/",
            ("     Ctrl-C stops it and its endpoints", "dim"),
        )
    )
    width = max(len(report.spec.name) for report in reports)
    for report in reports:
        out.print(_line(report, width))
    to_a_person = started.new_token is not None and out.is_terminal
    if to_a_person:
        out.print(f"token    {started.new_token}")
    else:
        out.print(f"  TOKEN=$(cat {shlex.quote(str(started.token_file))})")
    token = f"'Authorization: {started.new_token}'" if to_a_person else '"Authorization: $TOKEN"'
    for command in _commands(started, reports, token):
        out.print(f"  {command}")
    out.print(Text(f"every route, with examples: {started.url}/docs", "dim"))
    # From here on the terminal tells what happens; before, it would have torn the lines above.
    logging.getLogger("parkmeter.journal").setLevel(logging.INFO)


def _settled_reports(started: Started) -> list[Report]:
    give_up = time.monotonic() + _BANNER_WAITS_SECONDS
    while True:
        reports = started.reports()
        if time.monotonic() > give_up or all(
            report.shown.status is not Status.STARTING for report in reports
        ):
            return reports
        time.sleep(0.02)


def _commands(started: Started, reports: list[Report], token: str) -> list[str]:
    """The ancestor's three calls; with a closed meter the top-up comes first."""
    first = next((report for report in reports if report.left), reports[0])
    expiry = f"{started.url}{STAGE}/endpoint-expiry"
    if len(reports) > 1:
        top_up = f'{{"minutes": 10, "EndpointName": "{first.spec.name}"}}'
    else:
        top_up = '{"minutes": 10}'
    look = f"curl {expiry} -H {token}"
    add = f"curl {expiry} -H {token} -d '{top_up}'"
    settings = started.settings
    body = _PROMPT if settings.endpoints[first.spec.name].model else "{…}"
    prompt = (
        f"curl {started.url}{STAGE}/{settings.resource_of(first.spec.name)} -H {token} "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )
    return [look, add, prompt] if first.left else [add, look, prompt]


def _line(report: Report, width: int) -> Text:
    status = report.shown.status
    line = Text.assemble(f"{report.spec.name:<{width}}  ", (f"{status:<8}", _COLOURS[status]))
    if report.left:
        close = report.closes_at.astimezone()
        seconds = int(report.left.total_seconds())
        left = f"{seconds // 60}:{seconds % 60:02}"
        return line.append(f" {left} left, until {_clock_time(close)}")
    return line.append(f" {report.shown.reason}")


def _clock_time(moment: datetime) -> str:
    today = datetime.now(UTC).astimezone().date()
    return moment.strftime("%H:%M" if moment.date() == today else "%a %d %b %H:%M")


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
    )
    # It warns of every malformed request, without saying whose; the answer says what was wrong.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
