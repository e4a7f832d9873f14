"""The names of ASGI that signatures need. Knows nothing else."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ABORT = "parkmeter.abort"
"""Extension of a scope: called, it ends the connection at once, with what was not sent yet."""
