"""The commands without a token or an address: `config`, `reload`, `doctor`.

The work is done by `config`, `gateway.reload`, `doctor` and `aws.doctor`, each imported by the
command that needs it.
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from parkmeter.cli.command import Argument, Option
from parkmeter.cli.connection import Exit, wrong_usage
from parkmeter.cli.options import AsJson, State

if TYPE_CHECKING:
    from parkmeter.config.settings import EndpointSettings
    from parkmeter.core.finding import Finding

Config = Annotated[Path | None, Option(help="parkmeter.toml. Also PARKMETER_CONFIG.")]


def check(
    file: Annotated[Path | None, Argument(help="[PARKMETER_CONFIG, else parkmeter.toml]")] = None,
    *,
    config: Annotated[Path | None, Option(help="The same, as for `up`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a file's settings or its mistakes."""
    from parkmeter.config.load import load_settings
    from parkmeter.core.money import written
    from parkmeter.errors import ConfigError
    from parkmeter.gateway.notifications import check_receivers

    if file and config:
        raise wrong_usage("Name one file: either FILE or --config.")
    named = file or config or Path(os.environ.get("PARKMETER_CONFIG") or "parkmeter.toml")
    try:
        settings = load_settings(config=named)
        check_receivers(settings.notify)
    except ConfigError as error:
        if as_json:
            _print_json({"file": str(named), "valid": False, "detail": error.detail, **error.data})
        else:
            print(error.detail, file=sys.stderr)
        raise SystemExit(1) from None
    if as_json:
        document = settings.model_dump(mode="json")
        _print_json(
            {
                "file": str(named),
                "valid": True,
                **document,
                "held_back": settings.held_back(os.environ),
                "by_name_only": settings.by_name_only,
            }
        )
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("endpoint", "prompts", "runs", "ready within", "$/hour", "first", "drain"):
        # One line each: the beginning of a long command identifies it.
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
    console = Console(highlight=False, emoji=False)
    console.print(table)
    for name, endpoint in settings.endpoints.items():
        if text := _automation(endpoint):
            console.print(f"{name}  {text}", markup=False)
    for name, resource in settings.by_name_only.items():
        text = f"{name}  /{resource} is the gateway's own path now; set another api_resource"
        console.print(text, markup=False)
    gateway = settings.gateway
    place = f"gateway  {gateway.host} port {gateway.port}, state in {gateway.state}"
    console.print(place, markup=False)
    if secret := settings.held_back(os.environ):
        text = f"{', '.join(secret)}: not passed on to model servers; see environment_from"
        console.print(f"secrets  {text}", markup=False)
    notify = settings.notify
    if count := len(notify.webhooks) + len(notify.apprise):
        console.print(f"notify   {count} receivers of {', '.join(notify.events)}")


def _automation(endpoint: "EndpointSettings") -> str:
    text = [f"starts on schedule {'; '.join(endpoint.hours)}"] if endpoint.hours else []
    if endpoint.idle_minutes is not None:
        text.append(f"stops when idle for {endpoint.idle_minutes:g} min")
    if endpoint.wake_minutes is not None:
        text.append(f"starts on a prompt for {endpoint.wake_minutes:g} min")
    return ", ".join(text)


def schema() -> None:
    """Print the JSON schema, for editors.

    `parkmeter config schema > parkmeter.schema.json`, then as first line of parkmeter.toml:
    `#:schema ./parkmeter.schema.json`
    """
    from parkmeter.config.schema import config_schema

    _print_json(config_schema())


def reload(state: State = None, config: Config = None, *, as_json: AsJson = False) -> None:
    """Apply a changed parkmeter.toml.

    The running gateway applies it; the output lists each change and when it takes effect.
    Endpoints with an unchanged section keep running. A file with mistakes changes nothing. The
    gateway is found by its state folder, with --config by the one named in that file.
    """
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
            print(line, file=sys.stdout if outcome.applied else sys.stderr)
        if not outcome.applied and outcome.code == "config_invalid":
            print("Nothing was changed.", file=sys.stderr)
    if not outcome.applied:
        raise SystemExit(Exit.UNREACHABLE if outcome.code == NoGatewayError.code else Exit.ERROR)


def doctor(
    state: State = None,
    config: Config = None,
    *,
    aws: Annotated[
        bool, Option("--aws", help="Check a deployment on AWS instead, in all regions.")
    ] = False,
    prefix: Annotated[str, Option(help="With --aws: the deployment's.")] = "parkmeter",
    region: Annotated[
        str | None,
        Option(help="With --aws: the deployment's. Default: that of your AWS settings."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check all that a local gateway depends on, or a deployment on AWS.

    State folder, disk, port, store, clock, meters, servers and models; each problem comes with the
    next step.
    Without --config it reads the file of the gateway that runs in the folder, with this shell's
    environment and working directory.
    With --aws: endpoints and stacks left over, clock, meters, tables, mails, images, artifacts,
    quotas. It only reads, with your AWS credentials.
    """
    findings = _examine_aws(prefix, region) if aws else _examine_gateway(state, config)
    _show(findings, as_json=as_json)


def _examine_gateway(state: Path | None, config: Path | None) -> "list[Finding]":
    from parkmeter.config.load import config_file, load_settings, state_folder
    from parkmeter.doctor.examine import config_in_use, examine
    from parkmeter.errors import ConfigError

    file = config_file(config)
    if file is None and (file := config_in_use(state_folder(state))):
        state = state_folder(state)  # overrides the file
    try:
        settings = load_settings(config=file, state=state)
    except ConfigError as error:
        return examine(state_folder(state), error)
    return examine(settings.gateway.state or state_folder(state), settings)


def _examine_aws(prefix: str, region: str | None) -> "list[Finding]":
    from datetime import UTC, datetime
    from importlib.util import find_spec

    if find_spec("boto3") is None:
        print("--aws needs boto3. In a clone: .venv/bin/pip install -e '.[aws]'", file=sys.stderr)
        raise SystemExit(1)
    from parkmeter.aws.doctor.account import Account
    from parkmeter.aws.doctor.examine import examine

    try:
        account = Account(region)
    except ValueError as error:
        raise wrong_usage(str(error)) from None
    return examine(account, prefix, datetime.now(UTC))


def _show(findings: "list[Finding]", *, as_json: bool) -> None:
    """Print the findings; exit with 1 if something is wrong."""
    from parkmeter.core.finding import Level

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
        raise SystemExit(1)


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False))
