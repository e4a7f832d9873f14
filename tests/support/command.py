"""A command of the command line, run in this process."""

import io
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from parkmeter.cli import run


@dataclass(frozen=True)
class Done:
    """What a command printed, and how it ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def run_command(*words: object, env: Mapping[str, str] | None = None, input: str = "") -> Done:  # noqa: A002 (as subprocess has it)
    """Run `parkmeter` with these words; `input` is its standard input, which is no terminal."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        stack.enter_context(mock.patch("sys.stdin", io.StringIO(input)))
        stack.enter_context(mock.patch.dict("os.environ", env or {}))
        try:
            run([str(word) for word in words])
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Done(code, out.getvalue(), err.getvalue())
