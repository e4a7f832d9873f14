"""Which paths belong to the data plane, and the settings of each endpoint behind them. Pure.

Paths are raw bytes, as the client sent them, without a stage prefix (`/prod`): nothing is decoded,
so that no two readers of one request can come to different endpoints.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask of the gateway."""

    max_body_bytes: int = 10 * 2**20
    """As API Gateway's, so that a client meets the same limit in both deployments."""
    max_wait_seconds: int = 120
    max_waiting: int = 64


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long one side may be silent, in seconds."""

    connect_seconds: float = 5.0
    first_byte_seconds: float = 600.0
    """As the patience of OpenAI's own client: a slow model is cut off by who asked, not by us."""
    idle_seconds: float = 600.0
    """Between two pieces of an answer. A server that streams sends its headers at once and then
    queues the prompt, so this wait is as long as the one for the first byte."""
    upload_seconds: float = 60.0
    """Between two pieces of a request's body, on either side. A client that stalls keeps an
    endpoint in use; one that left cannot be seen behind a body the model server does not read."""


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint as the data plane serves it. An unknown price is None, never zero (dollars)."""

    name: str
    api_resource: str
    invocations_path: str = "/invocations"
    price_per_hour: Decimal | None = None
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    suggested_minutes: float = 30
    """What a client is told to top up when the meter is closed: within the endpoint's limit."""
    wakes: bool = False
    """Whether a prompt to the closed meter buys time by itself."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where one request goes: the endpoint, and the path at its server.

    `route` is None when `name` is no endpoint; `prompt` marks the routes that take POST only.
    """

    name: str
    route: Route | None
    path: bytes
    prompt: bool


_BY_NAME = b"endpoints"
_SUFFIX = b"/invocations"


class Routes:
    """All endpoints' routes; immutable, so a new configuration replaces it whole."""

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        known = tuple(routes)
        self.names = tuple(route.name for route in known)
        self._routes = {route.api_resource.encode(): route for route in known}
        prompts = [
            Target(route.name, route, route.invocations_path.encode(), prompt=True)
            for route in known
        ]
        self._by_resource = dict(zip(self._routes, prompts, strict=True))
        self._by_name = {target.name.encode(): target for target in prompts}

    def match(self, path: bytes) -> Target | None:
        """The target of a raw path, None if the path is not the data plane's.

        `/RESOURCE` and `/endpoints/NAME/invocations` are prompts; `/RESOURCE/…` is the server's
        own `/…`, byte for byte.
        """
        resource, slash, rest = path[1:].partition(b"/")
        if not slash:
            return self._by_resource.get(resource)
        route = self._routes.get(resource)
        if route is not None:
            return Target(route.name, route, slash + rest, prompt=False)
        if resource != _BY_NAME or not rest.endswith(_SUFFIX):
            return None
        name = rest.removesuffix(_SUFFIX)
        if not name or b"/" in name:
            return None
        return self._by_name.get(name) or Target(name.decode("latin-1"), None, b"", prompt=True)
