"""How `make bench` runs the scripts and writes what they found. Knows no script by name."""
