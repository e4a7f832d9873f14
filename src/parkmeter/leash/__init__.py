"""The leash: the parent process of one local model server, which enforces its deadline.

The process driver runs this package by its path (`python -I -S …/leash/__main__.py NAME`) in a
session of its own, with its orders as JSON on stdin. The leash answers one JSON line on stdout and
then no longer depends on the gateway. It stops the server when the deadline passes or the driver
requests it, and exits only when no process of the run is left.

Standard library only, and nothing of parkmeter outside this package: the process that enforces the
meter must not fail because a dependency did. It knows neither meters nor HTTP. The driver imports
the names and formats of the files from `files`, never the other way round.
"""
