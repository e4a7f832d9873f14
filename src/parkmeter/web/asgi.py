"""ASGI's types, for signatures."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ABORT = "parkmeter.abort"
"""Extension of a scope: a callable that closes the connection and drops what is not sent yet."""
