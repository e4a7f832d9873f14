"""The models and programs of the endpoints."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from parkmeter.config.settings import EndpointSettings, Settings
from parkmeter.core.finding import Finding, good, note, wrong
from parkmeter.model_server.sources import DEMO

_LOAD_TIMEOUT = 60
"""Seconds for the shipped model, which needs less than one."""

_LOAD = (
    "import sys; from pathlib import Path; from parkmeter.model_server.model import Model; "
    "Model(Path(sys.argv[1]), workers=1)"
)


def examine(settings: Settings) -> Iterator[Finding]:
    """Check the model or the programs of each endpoint."""
    for name, endpoint in settings.endpoints.items():
        what = f"model of {name}"
        if endpoint.model == "demo":
            yield _demo(what)
        elif endpoint.model is not None:
            yield _model(what, endpoint.model)
        else:
            yield from _programs(name, endpoint)


def _demo(what: str) -> Finding:
    reinstall = "Install parkmeter again from its clone or wheel, as packaging/README.md says"
    if not (DEMO / "model.bin").is_file():
        return wrong(what, f"the shipped model is not in {DEMO}", reinstall)
    try:
        # In a separate process: a damaged engine may crash it.
        done = subprocess.run(  # noqa: S603 (our own program)
            [sys.executable, "-P", "-c", _LOAD, str(DEMO)],
            capture_output=True,
            text=True,
            timeout=_LOAD_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return wrong(what, f"the shipped model did not load in {_LOAD_TIMEOUT} s", reinstall)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return wrong(what, f"the shipped model does not load: {lines[-1]}", reinstall)
    return good(what, "the shipped model loads")


def _model(what: str, model: str) -> Finding:
    folder = Path(model).expanduser()
    if folder.is_dir():
        if (folder / "model.bin").is_file() or (folder / "config.json").is_file():
            return good(what, f"{folder} exists")
        return wrong(
            what,
            f"{folder} has neither model.bin nor config.json",
            "Name the folder of a saved T5.",
        )
    if folder.is_absolute() or model.startswith((".", "~")):
        return wrong(what, f"there is no folder {folder}", "Correct `model` in parkmeter.toml.")
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 (slow to import)

    try:
        cached = isinstance(try_to_load_from_cache(model, "config.json"), str)
    except ValueError:
        return wrong(
            what, f"{model} is neither a folder nor a hub id", "Correct `model` in parkmeter.toml."
        )
    if cached:
        return good(what, f"{model} is in the hub's cache")
    return note(what, f"{model} is not in the hub's cache", "Its first start downloads it.")


def _programs(name: str, endpoint: EndpointSettings) -> Iterator[Finding]:
    path = endpoint.environment.get("PATH")
    for key, command in (("command", endpoint.command), ("stop_command", endpoint.stop_command)):
        if command is None:
            continue
        found = shutil.which(command[0], path=path)
        if found is None:
            yield wrong(
                f"{key} of {name}",
                f"{command[0]} is not found or not executable",
                "Install it, or give its full path in parkmeter.toml.",
            )
        else:
            yield good(f"{key} of {name}", found)
