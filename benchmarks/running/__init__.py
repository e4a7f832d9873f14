"""The runner of `make bench`: runs the scripts, writes their results. Knows no script by name."""
