"""The command line: each command calls the gateway through `parkmeter.Client` and prints.

`up` runs a gateway; all others call one, here or on AWS. Slow imports belong into the command that
needs them, so that `--help` and completion stay fast.
"""

from parkmeter.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the `parkmeter` command."""
    app(prog_name="parkmeter")
