"""Generated references in docs/reference; with --check, a failure if one is stale."""

import json
import sys
from pathlib import Path

from parkmeter.api.app import control_app
from parkmeter.api.dependencies import ApiContext
from parkmeter.api.event_routes import add_event_routes, feed_of
from parkmeter.api.log_routes import add_log_routes
from parkmeter.api.model_routes import add_model_routes
from parkmeter.api.token_routes import add_audit_route, add_token_routes
from parkmeter.cli import app
from parkmeter.cli.command import Command, Group
from parkmeter.cli.help import page_of
from parkmeter.config.schema import config_schema
from parkmeter.core.meter import Status
from parkmeter.drivers.fake import FakeDriver
from parkmeter.drivers.process_logs import ProcessLogs
from parkmeter.gateway.clock import LocalClock
from parkmeter.gateway.metrics import FAMILIES, HOUSE, add_metrics_route
from parkmeter.notify.log import LogNotifier
from parkmeter.notify.top_up_counter import TopUpCounter
from parkmeter.proxy.gate import LocalGate
from parkmeter.proxy.traffic import BOUNDS, RATES, TrafficByEndpoint
from parkmeter.service.audit import Audit
from parkmeter.service.meters import MeterService
from parkmeter.service.tokens import TokenService
from parkmeter.stores.memory import MemoryStore
from parkmeter.web.auth import TokenBook
from parkmeter.web.model_ids import ModelIds

FOLDER = Path(__file__).parents[1] / "docs" / "reference"


def openapi() -> str:
    """Return the OpenAPI document of the gateway."""
    clock, store, counter = LocalClock(), MemoryStore(), TopUpCounter(LogNotifier())
    gate = LocalGate(clock.now)
    service = MeterService(
        {},
        store=store,
        driver=FakeDriver(clock.now),
        clock=clock,
        gate=gate,
        notifier=counter,
    )
    control = ApiContext(service, TokenBook(), str, clock.now)
    app = control_app(control)
    add_token_routes(app, control, TokenService(store, list, clock.now))
    add_audit_route(app, control, Audit(store, clock.now))
    add_log_routes(app, control, ProcessLogs(Path()))
    add_event_routes(app, control, feed_of(control))
    add_model_routes(app, control, ModelIds)
    add_metrics_route(app, control, gate, TrafficByEndpoint(), counter.bought)
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


def metrics() -> str:
    """Return the table of the metrics in `GET /metrics`."""
    rows = []
    for family in (*FAMILIES, *HOUSE):
        labels = family.labels if family in HOUSE else ("endpoint", *family.labels)
        shown = ", ".join(f"`{label}`" for label in labels) or "none"
        rows.append(f"| `{family.name}` | {family.type} | {shown} | {family.about} |")
    edges = ", ".join(f"{edge:g}" for edge in BOUNDS)
    rates = ", ".join(f"{edge:g}" for edge in RATES)
    statuses = ", ".join(f"`{status}`" for status in Status)
    return "\n".join(
        [
            "# Metrics",
            "",
            "`GET /metrics` of the local gateway, in Prometheus' text format 0.0.4. Any token",
            "gives access, also one without scopes; it shows only the endpoints that it covers.",
            "Counters begin at zero when the gateway starts.",
            "",
            "```yaml",
            "scrape_configs:",
            "  - job_name: parkmeter",
            "    authorization: {credentials_file: /etc/prometheus/parkmeter-token}",
            '    static_configs: [{targets: ["127.0.0.1:8080"]}]',
            "```",
            "",
            "| metric | type | labels | |",
            "|---|---|---|---|",
            *rows,
            "",
            f"`status` is one of {statuses}. Upper edges of the buckets, in seconds: {edges};",
            f"in tokens a second: {rates}.",
            "",
            "Example alerts: [alerts.yml](../prometheus/alerts.yml). A dashboard for Grafana:",
            "[grafana.json](../prometheus/grafana.json).",
            "",
        ]
    )


def cli() -> str:
    """Return the help of every command."""
    return "\n".join(_help_of(("parkmeter",), app))


def _help_of(path: tuple[str, ...], node: Command | Group) -> list[str]:
    page = page_of(path, node)
    lines = [f"{'#' * len(path)} `{' '.join(path)}`", "", page.text, ""]
    lines += ["```console", f"$ {page.usage}", "```", ""]
    for section in page.sections:
        lines += [f"**{section.heading}**:", ""]
        lines += [f"* `{f'{row.name} {row.metavar}'.strip()}`: {row.text}" for row in section.rows]
        lines.append("")
    lines += [page.epilog, ""] if page.epilog else []
    for name, below in node.commands.items() if isinstance(node, Group) else ():
        lines += _help_of((*path, name), below)
    return lines


def schema() -> str:
    """Return the JSON schema of parkmeter.toml."""
    return json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"


REFERENCES = {
    "cli.md": cli,
    "metrics.md": metrics,
    "openapi.json": openapi,
    "parkmeter.schema.json": schema,
}


def main() -> int:
    """Write or check all references; return the exit code."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name, generate in REFERENCES.items():
        file, text = FOLDER / name, generate()
        if check and (not file.exists() or file.read_text(encoding="utf-8") != text):
            stale.append(name)
        elif not check:
            FOLDER.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    if stale:
        print(f"docs/reference is stale: {', '.join(stale)}. Run `make docs`.", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
