"""`parkmeter up`: read the settings, run the gateway, print the first screen."""

import logging
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from rich.text import Text

from parkmeter._version import __version__
from parkmeter.cli.command import Option
from parkmeter.cli.output import clock_time, countdown, err, out, status_word
from parkmeter.config.load import config_file, load_settings
from parkmeter.config.settings import Settings
from parkmeter.core.meter import Status
from parkmeter.core.report import Report
from parkmeter.errors import ParkmeterError
from parkmeter.gateway.server import Gateway, Started
from parkmeter.gateway.shutdown import Ended
from parkmeter.web.stage import STAGE

_BANNER_WAITS_SECONDS = 5.0
"""For endpoints that start fast; a slow one is shown as starting."""

_PROMPT = '{"text_inputs": "write a story about beautiful weather on a tropical island."}'


def up(
    host: Annotated[str | None, Option(help="Address to listen on. [127.0.0.1]")] = None,
    port: Annotated[int | None, Option(help="Port; 0: any free one. [8080]")] = None,
    state: Annotated[
        Path | None, Option(help="Folder for the store, logs and client.json.")
    ] = None,
    config: Annotated[Path | None, Option(help="parkmeter.toml.")] = None,
    *,
    keep: Annotated[bool, Option(help="On exit leave servers running on their leashes.")] = False,
) -> None:
    """Run the local gateway until Ctrl-C.

    Settings may also come from PARKMETER_HOST, PARKMETER_PORT, PARKMETER_STATE, PARKMETER_CONFIG.
    """
    _log_to_stderr()

    def read() -> Settings:
        return load_settings(config=config, host=host, port=port, state=state)

    try:
        gateway = Gateway(read(), keep=keep, reread=read, config=config_file(config))
        ended = gateway.run(_banner)
    except ParkmeterError as error:
        err.print(Text.assemble(("parkmeter: ", "bold red"), error.detail))
        raise SystemExit(1) from None
    if ended.lost:
        message = f"{ended.lost}. Nothing can be kept there, so it has ended; start it again."
        err.print(Text.assemble(("parkmeter: ", "bold red"), message))
        raise SystemExit(1)
    out.print(farewell(ended, datetime.now(UTC).astimezone(), keep=keep))


def farewell(ended: Ended, now: datetime, *, keep: bool = False) -> str:
    """Return the last line: what became of the servers, and which meters still hold time."""
    closes = [f"{name} until {clock_time(at, now)}" for name, at in ended.closes.items()]
    held = f" ({', '.join(closes)})" if closes else ""
    if keep:
        return f"Servers run on until their meters close{held}."
    stopped = "Endpoints stopped."
    if ended.stopping:
        stopped = f"Still stopping, watched by their leashes: {', '.join(ended.stopping)}."
    running_out = f" Bought time keeps running out while the gateway is off{held}."
    return stopped + running_out if closes else stopped


# ── The first screen ─────────────────────────────────────────────────────────────────────────────


def _banner(started: Started) -> None:
    try:
        reports = _settled_reports(started)
    except ParkmeterError as error:
        err.print(Text(f"The endpoints cannot be shown: {error.detail}"))
        return
    show_token = started.new_token is not None and out.is_terminal
    token = f"'Authorization: {started.new_token}'" if show_token else '"Authorization: $TOKEN"'
    lines = banner_lines(
        started.url,
        [_row(report) for report in reports],
        f"token    {started.new_token}"
        if show_token
        else f"  TOKEN=$(cat {shlex.quote(str(started.token_file))})",
        _commands(started, reports, token),
        datetime.now(UTC).astimezone(),
    )
    for line in [*lines, *open_lines(started.open_at)]:
        out.print(line)
    # Printed from here on; before, it would have split the lines above.
    logging.getLogger("parkmeter.journal").setLevel(logging.INFO)


@dataclass(frozen=True, slots=True)
class Row:
    """An endpoint on the first screen; `left` is zero if its meter is closed."""

    name: str
    status: str
    reason: str
    left: timedelta
    closes_at: datetime


def banner_lines(
    url: str, rows: Sequence[Row], token: str, commands: Sequence[str], now: datetime
) -> list[Text]:
    """Return the first screen: address, endpoints, and commands to copy."""
    short = ".".join(__version__.split(".")[:2])
    head = Text.assemble(
        (f"parkmeter {short}", "bold"),
        f"  {url}/",
        ("     Ctrl-C stops it and its endpoints", "dim"),
    )
    width = max(len(row.name) for row in rows)
    return [
        head,
        *(_line(row, width, now) for row in rows),
        Text(token),
        *(Text(f"  {command}") for command in commands),
        Text(f"OpenAI clients: base URL {url}/v1, the token as their key", "dim"),
        Text(f"all routes, with examples: {url}/docs", "dim"),
    ]


def open_lines(addresses: Sequence[str]) -> list[Text]:
    """Return the warning of a gateway that other machines reach; nothing for any other."""
    if not addresses:
        return []
    return [
        Text(
            f"It listens on {', '.join(addresses)}: other machines reach it there, and tokens "
            "cross the network in clear unless TLS is in front.",
            "yellow",
        )
    ]


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
    """Return the three example calls; with a closed meter the top-up comes first."""
    first = next((report for report in reports if report.left), reports[0])
    settings, name = started.settings, first.spec.name
    look, add, prompt = example_commands(
        started.url,
        settings.resource_of(name),
        token,
        name=name if len(reports) > 1 else None,
        body=_PROMPT if settings.endpoints[name].model else "{…}",
    )
    return [look, add, prompt] if first.left else [add, look, prompt]


def example_commands(
    url: str, resource: str, token: str, *, name: str | None, body: str = _PROMPT
) -> tuple[str, str, str]:
    """Return the calls for status, top-up and prompt; `name` if there are several endpoints."""
    expiry = f"{url}{STAGE}/endpoint-expiry"
    named = f', "EndpointName": "{name}"' if name else ""
    return (
        f"curl {expiry} -H {token}",
        f"curl {expiry} -H {token} -d '{{\"minutes\": 10{named}}}'",
        f"curl {url}{STAGE}/{resource} -H {token} -H 'Content-Type: application/json' -d '{body}'",
    )


def _row(report: Report) -> Row:
    return Row(
        name=report.spec.name,
        status=report.shown.status,
        reason=report.shown.reason,
        left=report.left,
        closes_at=report.closes_at,
    )


def _line(row: Row, width: int, now: datetime) -> Text:
    word = status_word(f"{row.status:<8}")
    line = Text.assemble(f"{row.name:<{width}}  ", word)
    if row.left:
        until = clock_time(row.closes_at, now)
        return line.append(f" {countdown(row.left)} left, until {until}")
    return line.append(f" {row.reason}")


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
    )
    audit = logging.getLogger("parkmeter.audit")
    audit.propagate = False  # each line is JSON, without a time before it
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(logging.Formatter("%(message)s"))
    audit.handlers = [lines]
    # Collected from the start: the first screen may take seconds, and acts do not wait for it. On a
    # terminal JSON is noise: most acts have a line of their own, `parkmeter audit` shows all.
    audit.setLevel(logging.WARNING if err.is_terminal else logging.INFO)
