"""`python -m parkmeter` is the `parkmeter` command."""

from parkmeter.cli import main

main()
