"""The command line. Thin: each command asks the gateway through `parkmeter.Client` and prints.

`up` is the one that runs a gateway; all others talk to one, here or on AWS. What takes long to
import is imported by the command that needs it: `--help` and completion are waited for.
"""

from parkmeter.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """The `parkmeter` command."""
    app(prog_name="parkmeter")
