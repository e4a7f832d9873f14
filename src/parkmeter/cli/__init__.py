"""The command line: each command calls the gateway through `parkmeter.Client` and prints.

`up` runs a gateway; all others call one, here or on AWS. A command's module is imported when it
runs, so that `--help` and completion stay fast.
"""

from parkmeter.cli.app import app, main, run

__all__ = ["app", "main", "run"]
