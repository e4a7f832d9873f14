from parkmeter.client import Client as Client

__all__ = ["Client"]
__version__: str
