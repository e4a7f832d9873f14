"""The CDK command line, as a user types it, in a process group that can be ended."""

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from simulator.cdk_command import end_group, execute
from tools.smoke_aws.app import RUN_FILE
from tools.smoke_aws.run import PROJECT, Run, now


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
        left = (self._run.ends - now()).total_seconds()
        execute(
            arguments,
            at=at,
            environment={**os.environ, RUN_FILE: str(self._run.file)},
            seconds=max(left, 1),
            log=self._log,
            started=self._note,
        )

    def _note(self, group: int) -> None:
        if group > 0:
            self._groups.add(group)
        else:
            self._groups.discard(-group)
        self._started(group)
