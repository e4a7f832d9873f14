"""Random faults on a real gateway with real servers; `python -m tests.chaos --help`."""
