"""The leash: parent of one local model server, and what ends it when nobody else does.

The process driver runs this package by its path (`python -I -S …/leash/__main__.py NAME`) in a
session of its own, with its orders as JSON on stdin. It answers one JSON line on stdout and then
lives on alone, whatever becomes of the gateway. It ends the server when its deadline passes, when
the driver asks, or when the server has ended by itself, and goes only when nothing of it is left.

Standard library only, and nothing of parkmeter outside this package: what guards the meter must
not fail because a dependency did. It knows neither meters nor HTTP. The driver imports the names
and the form of the files from `files`, never the other way round.
"""
