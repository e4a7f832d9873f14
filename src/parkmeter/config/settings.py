"""The settings of parkmeter.toml, frozen and validated, and the core's view of an endpoint.

They start nothing: `gateway.wiring` builds objects from them.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from parkmeter.config.diagnostics import NO_ENDPOINT, SEVERAL_MISTAKES
from parkmeter.config.gateway import GatewaySettings
from parkmeter.config.hours import HoursTexts, too_long
from parkmeter.config.http_names import check_headers
from parkmeter.config.model_ids import ModelIdTexts, repeated_ids
from parkmeter.config.notify import NotifySettings
from parkmeter.config.section import (
    Minutes,
    MinutesAboveZero,
    Seconds,
    SecondsOrZero,
    Section,
    from_environment,
)
from parkmeter.core.hours import EXAMPLE, Hours
from parkmeter.core.meter import LOCAL, MAKE_BELIEVE, Price, Spec, span_of
from parkmeter.core.money import MOST_AN_HOUR, PRICE_PLACES
from parkmeter.core.reserved import ENDPOINT_NAME, RESERVED, RESERVED_LATER, path_of_prompts
from parkmeter.core.server_environment import PASSED_ON, held_back, is_gateways_own

PATH_SEGMENT = "[A-Za-z0-9][A-Za-z0-9._~-]{0,62}"

OF_THE_ENVIRONMENT = ("bootstrap_token", "environment_read")
"""Fields of `Settings` that no file has."""

SERVER_PATH = r"/|(/(\*|(?!\.{1,2}(/|$))[A-Za-z0-9._~!$&'()+,=:@-]+))+/?"
"""A path of a model server, decoded; a segment may be `*`."""

_PRICE = Field(ge=0, le=MOST_AN_HOUR, decimal_places=PRICE_PLACES, allow_inf_nan=False)


class EndpointSettings(Section):
    """One endpoint: `[endpoints.NAME]`."""

    model: str | None = Field(
        None,
        description='Model of the embedded server: "demo" (the shipped model), a folder with a T5, '
        "or a hub id. Set either this or command.",
    )
    command: tuple[str, ...] | None = Field(
        None,
        description="Command line of any other server, as a list of words; {port} becomes the free "
        "port to listen on (127.0.0.1). Set either this or model.",
    )
    stop_command: tuple[str, ...] | None = Field(
        None,
        description="Command to stop the server instead of SIGTERM, for one that signals do not "
        "reach, such as a container; {port} as in command.",
    )
    environment: dict[str, str] = Field({}, description="Added to the server's environment.")
    environment_from: tuple[str, ...] = Field(
        PASSED_ON,
        description="Variables of the gateway's environment that the server gets although their "
        "names end in _TOKEN, _SECRET, _PASSWORD or _KEY, or env: reads them. PARKMETER_* is never "
        "passed on.",
    )
    user: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        None,
        description="System user to run the server as; the gateway must run as root. Needs "
        "command. Default: the gateway's own.",
    )
    api_resource: str = Field("", description="Path for prompts, one segment. Default: the name.")
    aliases: ModelIdTexts = Field(
        (),
        description="Further names for its model below /v1, beside the endpoint's own, such as one "
        "that a client insists on.",
        examples=[["gpt-4o-mini"]],
    )
    models: ModelIdTexts = Field(
        (),
        description="Ids by which its server knows its models, the usual one first. A request "
        "below /v1 by name or alias is sent on with the first. Default: what the server lists at "
        "/v1/models once it is ready.",
        examples=[["Qwen/Qwen3-8B"]],
    )
    health: str = Field("/ping", description="Path whose GET returns 200 once the server is ready.")
    health_timeout_seconds: Seconds = Field(
        5, description="Seconds until a health check times out."
    )
    invocations_path: str = Field("/invocations", description="Path of the server for prompts.")
    start_timeout_seconds: Seconds = Field(
        600, description="Seconds until a server that is not ready counts as failed."
    )
    liveness_seconds: Annotated[Seconds, Field(ge=5)] | None = Field(
        None,
        description="Seconds without a passed health check after which a ready server counts as "
        "failed and is started again. Default: never.",
    )
    stop_grace_seconds: Seconds = Field(10, description="Seconds from SIGTERM to SIGKILL.")
    initial_provision_time_minutes: Minutes = Field(
        60, description="Minutes on the meter at its very first start; fractions allowed."
    )
    price_per_hour: Annotated[Decimal, _PRICE] | None = Field(
        None,
        description="Dollars per hour, at most 9 decimal places. Default: unknown, never zero.",
    )
    drain_seconds: SecondsOrZero = Field(
        30, description="Seconds for requests in flight to finish at the close."
    )
    device: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        None, description='Device it runs on, such as "gpu0"; one open meter at a time holds it.'
    )
    startup_credit_minutes: Minutes = Field(
        30, description="Minutes that a start may take without using bought time; 0: none."
    )
    max_top_up_minutes: Minutes = Field(1440, description="Most minutes of one top-up.")
    max_minutes_ahead: Minutes = Field(10080, description="Most minutes on the meter.")
    hours: HoursTexts = Field(
        (),
        description="Schedule: days, times and time zone, or a list of these. At the start of each "
        "window the meter is topped up to its end.",
        examples=[EXAMPLE],
    )
    idle_minutes: MinutesAboveZero | None = Field(
        None, description="Minutes without a prompt until it is ejected. Default: never."
    )
    wake_minutes: MinutesAboveZero | None = Field(
        None,
        description="Minutes that a prompt to the closed meter adds, if its token may top up. "
        "Default: none.",
    )
    warn_minutes: tuple[Minutes, ...] = Field(
        (10, 2), description="Minutes before the close at which a warning is sent."
    )
    extend_minutes: MinutesAboveZero = Field(
        30, description="Minutes added by the link in a warning, within the limit of one top-up."
    )
    max_body_bytes: int = Field(10 * 1024 * 1024, gt=0, description="Most bytes of a prompt.")
    wait_seconds: Annotated[SecondsOrZero, Field(le=900)] = Field(
        50,
        description="Seconds that a prompt is held while the endpoint starts, unless it asks for "
        "another time with `Prefer: wait`; 0: answered at once. At most max_wait_seconds.",
    )
    max_wait_seconds: Seconds = Field(
        900, description="Most seconds that a request is held, whatever it asks for."
    )
    loading: Literal["off", "comments", "messages"] = Field(
        "off",
        description="The answer to a held request for a stream while the endpoint starts: none; a "
        "head at once and comments every five seconds, which keep clients and proxies waiting; or, "
        "in chats, progress that people see as reasoning.",
    )
    max_waiting: int = Field(
        64, ge=0, description="Most requests held at once, shared fairly among tokens."
    )
    max_in_flight: Annotated[int, Field(gt=0)] | None = Field(
        None,
        description="Most requests being answered at once, shared fairly among tokens. Default: "
        "no limit.",
    )
    paths: tuple[str, ...] = Field(
        ("/*",),
        description="Paths of the server that a token with invoke reaches, beside the one for "
        "prompts; /* at the end matches the rest. Other paths need admin, and so do engine "
        "controls that are not named in full. Default: all paths but engine controls.",
        examples=[["/v1/*", "/tokenize"]],
    )
    cookies: bool = Field(
        default=False,
        description="Whether cookies pass to and from the server. They are shared by all "
        "applications on the host.",
    )
    upstream_headers: dict[str, str] = Field(
        {},
        description="Headers sent to the server with each request, such as a key of its own, in "
        'place of the client\'s of the same name. "env:NAME" reads a value from that variable of '
        "the gateway's environment.",
        examples=[{"X-Api-Key": "env:VLLM_KEY"}],
        repr=False,
        exclude=True,
    )
    first_byte_timeout_seconds: Seconds = Field(
        600, description="Seconds until the first byte of an answer."
    )
    idle_timeout_seconds: Seconds = Field(
        600, description="Most seconds between two pieces of an answer."
    )

    @field_validator("upstream_headers")
    @classmethod
    def _read_headers(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        return check_headers({name: from_environment(one, info) for name, one in value.items()})

    @field_validator("health", "invocations_path")
    @classmethod
    def _check_path(cls, value: str) -> str:
        if not value.startswith("/") or re.search(r"[\x00-\x20\x7f-\uffff]", value):
            raise ValueError("must be a path that begins with / and has no spaces")
        return value

    @field_validator("paths")
    @classmethod
    def _check_paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(SERVER_PATH, path) for path in value):
            raise ValueError("must be decoded paths that begin with /, such as /v1/* or /tokenize")
        return value

    @field_validator("command", "stop_command")
    @classmethod
    def _check_command(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not (value and value[0]):
            raise ValueError("must begin with a program")
        return value

    @model_validator(mode="after")
    def _check_start(self) -> Self:
        if (self.model is None) == (self.command is None):
            raise ValueError("set either model or command")
        if self.user is not None and self.command is None:
            raise ValueError("user needs command: the embedded server reads the gateway's files")
        if self.command and not any("{port}" in word for word in self.command):
            raise ValueError("command must contain {port}, the port to listen on")
        return self

    def spec(self, name: str, price_source: str) -> Spec:
        """Return the core's view of this endpoint."""
        price = self.price_per_hour
        return Spec(
            name=name,
            max_top_up=timedelta(minutes=self.max_top_up_minutes),
            max_ahead=timedelta(minutes=self.max_minutes_ahead),
            startup_credit=timedelta(minutes=self.startup_credit_minutes),
            drain=timedelta(seconds=self.drain_seconds),
            warn_before=tuple(timedelta(minutes=minutes) for minutes in self.warn_minutes),
            prices={} if price is None else {LOCAL: Price(price, price_source)},
            device=self.device,
            hours=Hours.of(self.hours) if self.hours else None,
            idle=span_of(self.idle_minutes),
            wake=span_of(self.wake_minutes),
            extend_by=timedelta(minutes=self.extend_minutes),
        )


class Settings(Section):
    """The whole configuration of a gateway."""

    gateway: GatewaySettings = GatewaySettings()
    notify: NotifySettings = NotifySettings()
    endpoints: dict[str, EndpointSettings]
    bootstrap_token: Annotated[str | None, Field(repr=False, exclude=True)] = None
    environment_read: Annotated[frozenset[str], Field(repr=False, exclude=True)] = frozenset()
    """Variables that this configuration reads with `env:`; not settings of the file."""

    price_source: ClassVar[str] = "configuration"

    @model_validator(mode="after")
    def _check_endpoints(self) -> Self:
        mistakes: list[tuple[tuple[str, ...], str, object]] = []
        if not self.endpoints:
            mistakes.append(((), NO_ENDPOINT, None))
        taken: dict[str, str] = {}
        named: dict[str, str] = {}
        for name, endpoint in self.endpoints.items():
            path = ("endpoints", name)
            if not re.fullmatch(ENDPOINT_NAME, name):
                rule = "a name has at most 63 letters, digits and inner hyphens"
                mistakes.append((path, rule, name))
                continue
            resource = endpoint.api_resource or name
            if mistake := _resource_mistake(resource, taken):
                mistakes.append(((*path, "api_resource"), mistake, resource))
            taken.setdefault(resource, name)
            mistakes += repeated_ids(name, self.endpoints, named)
            longest = timedelta(minutes=endpoint.max_minutes_ahead)
            if mistake := too_long(endpoint.hours, longest):
                mistakes.append(((*path, "hours"), mistake, endpoint.hours[0]))
            most = min(endpoint.max_top_up_minutes, endpoint.max_minutes_ahead)
            if endpoint.wake_minutes is not None and endpoint.wake_minutes > most:
                mistake = f"must not exceed the limit of one top-up ({most:g})"
                mistakes.append(((*path, "wake_minutes"), mistake, endpoint.wake_minutes))
        if mistakes:
            raise PydanticCustomError(SEVERAL_MISTAKES, "several", {"mistakes": mistakes})
        return self

    def resource_of(self, name: str) -> str:
        """Return the path for prompts to an endpoint, one segment but for `by_name_only`."""
        return path_of_prompts(name, self.endpoints[name].api_resource or name)

    @property
    def by_name_only(self) -> dict[str, str]:
        """The endpoints whose `api_resource` is a path of the gateway's own by now, with it."""
        names = [name for name in self.endpoints if self.is_by_name_only(name)]
        return {name: self.endpoints[name].api_resource or name for name in names}

    def is_by_name_only(self, name: str) -> bool:
        """Return whether an endpoint is one of `by_name_only`."""
        return (self.endpoints[name].api_resource or name) in RESERVED_LATER

    def spec(self, name: str) -> Spec:
        """Return the core's view of an endpoint; of one not configured, only its name."""
        endpoint = self.endpoints.get(name)
        return Spec(name) if endpoint is None else endpoint.spec(name, self.price_source)

    def held_back(self, environment: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return, per variable that some server may expect and does not get, these endpoints.

        The gateway's own variables are left out: no server gets or misses them.
        """
        found: dict[str, tuple[str, ...]] = {}
        for name, endpoint in self.endpoints.items():
            secret = held_back(environment, self.environment_read, endpoint.environment_from)
            for variable in sorted(secret - endpoint.environment.keys()):
                if not is_gateways_own(variable):
                    found[variable] = (*found.get(variable, ()), name)
        return found

    def specs(self) -> dict[str, Spec]:
        """Return the core's view of each endpoint."""
        return {name: self.spec(name) for name in self.endpoints}


class DemoSettings(Settings):
    """The settings without a configuration file: one endpoint with the shipped model."""

    endpoints: dict[str, EndpointSettings] = Field(
        {
            "flan-t5": EndpointSettings(
                model="demo", api_resource="flan", price_per_hour=Decimal("1.20")
            )
        }
    )

    price_source: ClassVar[str] = MAKE_BELIEVE


def _resource_mistake(resource: str, taken: Mapping[str, str]) -> str:
    """Return the reason why this cannot be a path for prompts, or an empty text."""
    if not re.fullmatch(PATH_SEGMENT, resource):
        return "must be one path segment: at most 63 letters, digits and . _ ~ -"
    if resource.lower() in RESERVED:
        return "is one of the gateway's own paths; set another api_resource"
    if resource in taken:
        return f"is taken by endpoint {taken[resource]!r}; set another api_resource"
    return ""
