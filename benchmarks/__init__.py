"""One script per claim; each prints a table. `make bench` runs them all."""
