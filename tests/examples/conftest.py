"""Examples run by a real gateway, with stand-ins for their servers first on the PATH."""

import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.docker_daemon import Daemon
from tests.support.gateway_process import GatewayProcess

EXAMPLES = Path(__file__).parents[2] / "examples"
STAND_INS = Path(__file__).parent / "stand_ins"
PROGRAMS = {
    "docker": "docker.py",
    "llama-server": "llama_server.py",
    "ollama": "ollama.py",
    "text-generation-launcher": "text_generation_launcher.py",
    "vllm": "vllm.py",
}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder with the stand-ins under the names of the real programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(sys.executable)
    for name, file in PROGRAMS.items():
        command = shlex.join([sys.executable, "-I", "-S", *map(str, _run(file))])
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        program.chmod(0o700)
    return folder


def _run(file: str) -> tuple[Path, Path]:
    return STAND_INS / "run.py", STAND_INS / file


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    # Not in tmp_path: a Unix socket's path may have 108 characters at most.
    with tempfile.TemporaryDirectory() as folder:
        made = Daemon(Path(folder) / "docker.sock")
        yield made
        made.close()


@pytest.fixture
def example(
    tmp_path: Path, programs: Path, daemon: Daemon
) -> Iterator[Callable[[str], GatewayProcess]]:
    """Return a function that starts a gateway with an example's own file, in its own folder."""
    begun: list[GatewayProcess] = []

    def start(name: str) -> GatewayProcess:
        gateway = GatewayProcess(
            tmp_path / "state",
            arguments=("--config", "parkmeter.toml"),
            environment={
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
                "DOCKER_HOST": daemon.host,
            },
            folder=EXAMPLES / name,
        )
        begun.append(gateway)
        return gateway.start()

    yield start
    for gateway in begun:
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.stop(60)
