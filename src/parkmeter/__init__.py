"""Parkmeter: a parking meter for model endpoints.

`parkmeter.Client` is imported when it is first used: the embedded model server and the leash start
through this module, and every millisecond here delays a start.
"""

from typing import TYPE_CHECKING

from parkmeter._version import __version__

if TYPE_CHECKING:
    from parkmeter.client import Client

__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> object:
    if name == "Client":
        from parkmeter.client import Client  # noqa: PLC0415 (see above)

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
