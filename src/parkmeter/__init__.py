"""Parkmeter: a parking meter for model endpoints.

`parkmeter.Client` is imported when it is first used: the embedded model server and the leash start
through this module, and every millisecond here delays a start. It is imported by name, so that no
Lambda package is found to need it.
"""

from parkmeter._version import __version__

TYPE_CHECKING = False  # importing typing takes longer than the rest of this module
if TYPE_CHECKING:
    from parkmeter.client import Client

__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> type:
    if name == "Client":
        from importlib import import_module  # noqa: PLC0415 (see above)

        client: type = import_module("parkmeter.client").Client
        return client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
