"""Parkmeter: a parking meter for model endpoints.

This module stays empty of imports: the embedded model server and the leash start through it, and
every millisecond here is one that a person waits. `parkmeter.Client` is imported when it is used.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from parkmeter.client import Client

__all__ = ["Client"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "Client":
        from parkmeter.client import Client  # noqa: PLC0415 (see above)

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
