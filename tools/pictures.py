"""Pictures of the command line for docs/pictures; with --check, a failure if one is stale.

The functions that print to the terminal draw them, from constant data.
"""

import re
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from parkmeter.cli.history import receipt_lines
from parkmeter.cli.up import Row, banner_lines, example_commands
from parkmeter.cli.watch import Snapshot, render
from parkmeter.client import Endpoint, Receipt

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"

NOW = datetime(2026, 11, 20, 17, 42, 10, tzinfo=UTC)

RECEIPT: dict[str, Any] = {
    "endpoint": "llama",
    "from": "2026-11-01T00:00:00Z",
    "to": "2026-11-20T17:42:10Z",
    "hours_on": 21.5,
    "price_per_hour": "7.0900",
    "cost": "152.4350",
    "always_on_cost": "3358.5539",
    "saved": "3206.1189",
    "unpriced_hours": 0.0,
    "parts": [
        {"who": "ada", "hours_on": 14.0, "cost": "99.2600", "minutes_bought": 870.0},
        {"who": "ben", "hours_on": 7.5, "cost": "53.1750", "minutes_bought": 450.0},
    ],
    "runs": [
        {
            "started": "2026-11-03T08:58:00Z",
            "ended": "2026-11-03T22:58:00Z",
            "hours_on": 14.0,
            "variant": "ml.g5.12xlarge",
            "cost": "99.2600",
        },
        {
            "started": "2026-11-20T10:12:10Z",
            "ended": None,
            "hours_on": 7.5,
            "variant": "ml.g5.12xlarge",
            "cost": "53.1750",
        },
    ],
}
"""Three weeks of two people with a GPU."""

_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""Removed, so that a picture fetches nothing from other servers; the reader's font is used."""


def up() -> list[RenderableType]:
    """Return the first screen of a gateway."""
    url = "http://127.0.0.1:8080"
    row = Row("flan-t5", "running", "serving", timedelta(seconds=3598), NOW + timedelta(hours=1))
    commands = example_commands(url, "flan", "'Authorization: pm_x6wC1…'", name=None)
    return banner_lines(url, [row], "token    pm_x6wC1…", commands, NOW)


def watch() -> list[RenderableType]:
    """Return three endpoints as `status --watch` shows them."""
    endpoints = (
        _endpoint("flan-t5", "running", "serving", 1798, price="0"),
        _endpoint("qwen", "starting", "loading model weights, since 0:42", 3600, price="1.2"),
        _endpoint("llama", "stopped", "no time on the meter: top up to start it", 0, price="7.09"),
    )
    return [render(Snapshot(endpoints, 0.0), 0.0, NOW)]


def receipt() -> list[RenderableType]:
    """Return the receipt as the command line prints it."""
    return list(receipt_lines(Receipt.of(RECEIPT), NOW))


PICTURES: dict[str, tuple[str, Callable[[], Iterable[RenderableType]]]] = {
    "receipt.svg": ("parkmeter receipt llama", receipt),
    "status.svg": ("parkmeter status --watch", watch),
    "up.svg": ("parkmeter up", up),
}


def drawn(name: str) -> str:
    """Return a picture as SVG."""
    command, renderables = PICTURES[name]
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(
            file=nowhere,
            record=True,
            width=100,
            force_terminal=True,
            color_system="truecolor",
            highlight=False,
            legacy_windows=False,
            _environ={},
        )
        console.print(Text.assemble(("$ ", "dim"), (command, "bold")))
        for renderable in renderables():
            console.print(renderable)
        stem = name.removesuffix(".svg")
        svg = console.export_svg(title=command, unique_id=stem)
    return _FONTS.sub("", svg) + "\n"


def _endpoint(name: str, status: str, reason: str, left: int, *, price: str) -> Endpoint:
    closes = (NOW + timedelta(seconds=left)).isoformat()
    return Endpoint.of(
        {
            "name": name,
            "status": status,
            "reason": reason,
            "expires_at": closes,
            "closes_at": closes,
            "seconds_left": left,
            "price_per_hour": price if float(price) else None,
            "cost_so_far": None,
            "api_resource": name,
        }
    )


def main() -> int:
    """Draw or check all pictures; return the exit code."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name in PICTURES:
        file, text = FOLDER / name, drawn(name)
        if check and (not file.exists() or file.read_text(encoding="utf-8") != text):
            stale.append(name)
        elif not check:
            FOLDER.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    if stale:
        print(f"docs/pictures is stale: {', '.join(stale)}. Run `make docs`.", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
