"""Paths of the data plane, and the settings of the endpoints behind them. Pure.

Paths are raw bytes, as the client sent them, without the stage (`/prod`). They are not decoded, so
that two readers of one request cannot arrive at different endpoints. (`server_paths` decodes, for
what lies behind an endpoint.)
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from parkmeter.web.headers import NO_OWN_HEADERS, OwnHeaders

EVERY_PATH = ("/*",)
"""The default of `Route.paths`."""


class Loading(StrEnum):
    """The answer to a held request for a stream while its endpoint starts."""

    OFF = "off"
    """None: its head is the model's own."""
    COMMENTS = "comments"
    """A head at once, then comments (or pings), which clients do not show."""
    MESSAGES = "messages"
    """The same, in a chat with text that people see, as reasoning."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request."""

    max_body_bytes: int = 10 * 2**20
    """The same as API Gateway's, so that a client has the same limit in both deployments."""
    wait_seconds: int = 0
    """For a prompt that does not ask for a wait while its endpoint starts; 0: none."""
    max_wait_seconds: int = 900
    max_waiting: int = 64
    max_in_flight: int | None = None
    """Requests being answered at once; None: as many as come."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Longest silence of either side, in seconds."""

    connect_seconds: float = 5.0
    first_byte_seconds: float = 600.0
    """As in OpenAI's own client: a slow model is cut off by its client, not by us."""
    idle_seconds: float = 600.0
    """Between two pieces of an answer. A server that streams sends its headers at once and then
    queues the prompt, so this limit is as long as the one for the first byte."""
    upload_seconds: float = 60.0
    """Between two pieces of a request's body, on either side. A stalled client keeps an endpoint in
    use, and behind a body that the model server does not read a lost client goes unnoticed."""


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint as the data plane serves it. `price_per_hour` in dollars; unknown is None.

    An `api_resource` of several segments is matched by no path: such an endpoint is reached by its
    name only.
    """

    name: str
    api_resource: str
    invocations_path: str = "/invocations"
    price_per_hour: Decimal | None = None
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    suggested_minutes: float = 30
    """The top-up that a 402 suggests; within the endpoint's limit."""
    wakes: bool = False
    """Whether a prompt to the closed meter tops it up."""
    paths: tuple[str, ...] = EVERY_PATH
    """The server's paths that `invoke` is enough for; see `server_paths`."""
    cookies: bool = False
    """Whether cookies pass: those of other applications on the gateway's host among them."""
    own_headers: OwnHeaders = NO_OWN_HEADERS
    loading: Loading = Loading.OFF
    device: str | None = None
    """The GPU that it shares with other endpoints."""
    aliases: tuple[str, ...] = ()
    """Further names for its model below `/v1`; see `model_ids`."""
    models: tuple[str, ...] = ()
    """The ids by which its own server knows its model, the usual one first."""


@dataclass(frozen=True, slots=True)
class Target:
    """The endpoint that a request is for, and the path at its server.

    `route` is None for an unknown `name`; `prompt` marks the routes that take POST only. `front`:
    below `/v1`, for all endpoints; which one it is for is read out of the request (`name` is not).
    `listing`: the server's list of models, which the gateway knows too while the server is away.
    """

    name: str
    route: Route | None
    path: bytes
    prompt: bool
    front: bool = False
    listing: bool = False


_FRONT = b"v1"
_NO_FRONT = frozenset({b"models", b"v1"})
"""What the control routes answer below `/v1`; a second `/v1` is a wrong base URL."""
_LISTING = b"/v1/models"
_BY_NAME = b"endpoints"
_SUFFIX = b"/invocations"


class Routes:
    """The routes of all endpoints; immutable, a new configuration replaces it whole."""

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self.all = known = tuple(routes)
        self.names = tuple(route.name for route in known)
        self.devices = {route.name: route.device for route in known}
        self.most_body_bytes = max((route.limits.max_body_bytes for route in known), default=0)
        self._named = {route.name: route for route in known}
        self._routes = {route.api_resource.encode(): route for route in known}
        prompts = [
            Target(route.name, route, route.invocations_path.encode(), prompt=True)
            for route in known
        ]
        self._by_resource = dict(zip(self._routes, prompts, strict=True))
        self._by_name = {target.name.encode(): target for target in prompts}

    def named(self, name: str) -> Route | None:
        """Return the route of the endpoint with this name."""
        return self._named.get(name)

    def match(self, path: bytes) -> Target | None:
        """Return the target of a raw path, or None for a path outside the data plane.

        `/RESOURCE` and `/endpoints/NAME/invocations` are prompts; `/RESOURCE/…` is the server's
        `/…`, byte for byte. So is `/v1/…`, of the server that the request means; but the list of
        all models, `/v1/models`, is the gateway's own.
        """
        resource, slash, rest = path[1:].partition(b"/")
        if not slash:
            return self._by_resource.get(resource)
        route = self._routes.get(resource)
        if route is not None:
            path = slash + rest
            return Target(route.name, route, path, prompt=False, listing=_lists(path))
        if resource == _FRONT:
            if not rest or rest.partition(b"/")[0] in _NO_FRONT:
                return None
            return Target("", None, path, prompt=False, front=True)
        if resource != _BY_NAME or not rest.endswith(_SUFFIX):
            return None
        name = rest.removesuffix(_SUFFIX)
        if not name or b"/" in name:
            return None
        return self._by_name.get(name) or Target(name.decode("latin-1"), None, b"", prompt=True)


def _lists(path: bytes) -> bool:
    return path.startswith(_LISTING) and path[len(_LISTING) :][:1] in {b"", b"/"}
