"""Parkmeter: a parking meter for model endpoints.

This module stays empty of imports: the embedded model server and the leash start through it, and
every millisecond here is one that a person waits. `parkmeter.Client` is imported when it is used,
and by name, so that no Lambda package is found to need it; its type is in `__init__.pyi`.
"""

__all__ = ["Client"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "Client":
        from importlib import import_module  # noqa: PLC0415 (see above)

        client: object = import_module("parkmeter.client").Client
        return client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
