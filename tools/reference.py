"""Writes the generated references into docs/reference, or with --check fails where one is stale."""

import json
import sys
from pathlib import Path

from parkmeter.config_schema import config_schema
from parkmeter.drivers.fake import FakeDriver
from parkmeter.local_clock import LocalClock
from parkmeter.notify.log import LogNotifier
from parkmeter.service import Service
from parkmeter.stores.memory import MemoryStore
from parkmeter.web.app import Control, control_app
from parkmeter.web.auth import TokenBook
from parkmeter.web.gate import LocalGate

FOLDER = Path(__file__).parents[1] / "docs" / "reference"


def openapi() -> str:
    """The OpenAPI document of the gateway."""
    clock = LocalClock()
    service = Service(
        {},
        store=MemoryStore(),
        driver=FakeDriver(clock.now),
        clock=clock,
        gate=LocalGate(clock.now),
        notifier=LogNotifier(),
    )
    app = control_app(Control(service, TokenBook(), str, clock.now))
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


def schema() -> str:
    """The JSON schema of parkmeter.toml."""
    return json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"


REFERENCES = {"openapi.json": openapi, "parkmeter.schema.json": schema}


def main() -> int:
    """Write, or check; the exit code."""
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
