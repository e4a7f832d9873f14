"""parkmeter.toml and the environment, as frozen, validated settings.

Order of precedence: command line, environment (`PARKMETER_…`), file, defaults. Nothing here starts
anything; `wiring` makes things from settings.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from parkmeter.client_file import default_state
from parkmeter.errors import ConfigError
from parkmeter.meter import Spec

RESERVED = frozenset(
    {
        "assets",
        "docs",
        "endpoint-expiry",
        "endpoints",
        "favicon.ico",
        "health",
        "metrics",
        "openapi.json",
        "prod",
        "tokens",
    }
)
"""First path segments that are the gateway's own, so no `api_resource`."""

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
"""SageMaker's rule for endpoint names, so that a configuration can move there."""

_RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,62}")

SHORTEST_BOOTSTRAP_TOKEN = 16

_A_WEEK = 604_800
Seconds = Annotated[float, Field(gt=0, le=_A_WEEK, allow_inf_nan=False)]
SecondsOrZero = Annotated[float, Field(ge=0, le=_A_WEEK, allow_inf_nan=False)]
Minutes = Annotated[float, Field(ge=0, le=525_600, allow_inf_nan=False)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EndpointSettings(_Settings):
    """One endpoint: `[endpoints.NAME]`."""

    model: str | None = Field(
        None, description='"demo" (the shipped model), a folder with a T5, or a hub id.'
    )
    command: tuple[str, ...] | None = Field(
        None, description="Any other server's command line; {port} is replaced by a free port."
    )
    stop_command: tuple[str, ...] | None = Field(
        None, description="Run instead of SIGTERM to stop it, for example for a container."
    )
    environment: dict[str, str] = Field({}, description="Added to the server's environment.")
    api_resource: str = Field("", description="Path under which prompts reach it; default: NAME.")
    health: str = Field("/ping", description="Answers 200 as soon as the server is ready.")
    invocations_path: str = Field("/invocations", description="Where the server takes prompts.")
    start_timeout_seconds: Seconds = Field(600, description="Not ready after this: failed.")
    stop_grace_seconds: Seconds = Field(10, description="From SIGTERM to SIGKILL.")
    initial_provision_time_minutes: Minutes = Field(60, description="On the meter at first start.")
    price_per_hour: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] | None = Field(
        None, description="Dollars; unknown if absent."
    )
    device: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        None, description='What it runs on, such as "gpu0"; held by one open meter at a time.'
    )
    drain_seconds: SecondsOrZero = Field(30, description="For requests in flight at the close.")
    startup_credit_minutes: Minutes = Field(
        30, description="How long a start may take without using bought time; 0: none."
    )
    max_top_up_minutes: Minutes = Field(1440, description="At once.")
    max_minutes_ahead: Minutes = Field(10080, description="On the meter.")
    warn_minutes: tuple[Minutes, ...] = Field((10, 2), description="Before the close.")
    max_body_bytes: int = Field(10 * 1024 * 1024, gt=0, description="Of a prompt.")
    max_wait_seconds: Seconds = Field(120, description="Most that `Prefer: wait` gets.")
    max_waiting: int = Field(64, ge=0, description="Requests held at once.")
    first_byte_timeout_seconds: Seconds = Field(600, description="For the model's first byte.")
    idle_timeout_seconds: Seconds = Field(600, description="Between two pieces of an answer.")

    @field_validator("health", "invocations_path")
    @classmethod
    def _path(cls, value: str) -> str:
        if not value.startswith("/") or re.search(r"[\x00-\x20\x7f-\uffff]", value):
            raise ValueError("must be a path that begins with / and has no spaces")
        return value

    @field_validator("command", "stop_command")
    @classmethod
    def _words(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not (value and value[0]):
            raise ValueError("must begin with a program")
        return value

    @model_validator(mode="after")
    def _one_way_to_start(self) -> Self:
        if (self.model is None) == (self.command is None):
            raise ValueError("give model or command, and not both")
        if self.command and not any("{port}" in word for word in self.command):
            raise ValueError("command must contain {port}, the port its server is to listen on")
        return self


class GatewaySettings(_Settings):
    """The gateway itself: `[gateway]`."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="0: any free one.")
    state: Path | None = Field(None, description="Folder of the store, logs and client.json.")
    shutdown_seconds: Seconds = Field(
        10, description="For requests in flight when the gateway is stopped."
    )


class Settings(_Settings):
    """Everything a gateway needs to know."""

    gateway: GatewaySettings = GatewaySettings()
    endpoints: dict[str, EndpointSettings]
    bootstrap_token: Annotated[str | None, Field(repr=False, exclude=True)] = None

    @model_validator(mode="after")
    def _names(self) -> Self:
        if not self.endpoints:
            raise ValueError("at least one [endpoints.NAME] is needed")
        taken: dict[str, str] = {}
        for name, endpoint in self.endpoints.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"endpoints.{name}: a name has letters, digits and inner hyphens")
            resource = endpoint.api_resource or name
            if not _RESOURCE.fullmatch(resource):
                raise ValueError(f"endpoints.{name}.api_resource: {resource!r} is no path segment")
            if resource.lower() in RESERVED:
                raise ValueError(
                    f"endpoints.{name}.api_resource: {resource!r} is one of the gateway's own paths"
                )
            if resource in taken:
                raise ValueError(
                    f"endpoints.{name}.api_resource: {resource!r} is taken by endpoint "
                    f"{taken[resource]!r}"
                )
            taken[resource] = name
        return self

    def resource_of(self, name: str) -> str:
        """The path segment under which prompts reach an endpoint."""
        return self.endpoints[name].api_resource or name

    def specs(self) -> dict[str, Spec]:
        """What the core knows of each endpoint."""
        return {name: _spec(name, endpoint) for name, endpoint in self.endpoints.items()}


def default_endpoints() -> dict[str, Any]:
    """What runs without a configuration file: the ancestor's endpoint, with the shipped model."""
    return {"flan-t5": {"model": "demo", "api_resource": "flan"}}


def load_settings(
    *,
    config: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    host: str | None = None,
    port: int | None = None,
    state: Path | None = None,
) -> Settings:
    """Settings from all sources.

    Raises:
        ConfigError: names the file, the key, the value and what would be right.

    """
    file = config or (Path(named) if (named := environment.get("PARKMETER_CONFIG")) else None)
    document = _read(file) if file else {"endpoints": default_endpoints()}
    if "bootstrap_token" in document:
        raise ConfigError(f"{file}: a token does not belong here; set PARKMETER_BOOTSTRAP_TOKEN.")
    gateway = document.get("gateway", {})
    if not isinstance(gateway, dict):
        raise ConfigError(f"{file}: gateway must be a section, [gateway].")
    gateway = dict(gateway)
    for key, given in (("host", host), ("port", port), ("state", state)):
        value = given if given is not None else environment.get(f"PARKMETER_{key.upper()}")
        if value not in (None, ""):
            gateway[key] = value
    gateway.setdefault("state", default_state(environment))
    token = environment.get("PARKMETER_BOOTSTRAP_TOKEN") or None
    _check_token(token)
    try:
        return Settings.model_validate({**document, "gateway": gateway, "bootstrap_token": token})
    except ValidationError as error:
        raise ConfigError(_plain(error, file)) from None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no configuration file {file}.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.") from None


def _check_token(token: str | None) -> None:
    if token is None:
        return
    if len(token) < SHORTEST_BOOTSTRAP_TOKEN:
        raise ConfigError(
            f"PARKMETER_BOOTSTRAP_TOKEN needs {SHORTEST_BOOTSTRAP_TOKEN} characters or more."
        )
    if not re.fullmatch(r"[\x21-\x7e]+", token) or token.startswith("sha256:"):
        raise ConfigError(
            "PARKMETER_BOOTSTRAP_TOKEN must be visible ASCII without spaces and must not begin "
            "with sha256:."
        )


def _plain(error: ValidationError, file: Path | None) -> str:
    """Pydantic's findings in our words: where, what was given, what would be right."""
    lines = []
    for finding in error.errors(include_url=False):
        path = [str(part) for part in finding["loc"]]
        wrong = finding["msg"].removeprefix("Value error, ")
        if finding["type"] == "extra_forbidden":
            wrong = "there is no such setting" + _meant(path)
        wrong = _WRONG.get(finding["type"], wrong)
        given = finding["input"]
        shown = f" (given: {given!r})" if path and isinstance(given, str | int | float) else ""
        lines.append(f"{'.'.join(path)}: {wrong}{shown}" if path else wrong)
    return f"{file or 'The environment'}: " + "; ".join(lines)


_WRONG = {
    "tuple_type": 'must be a list, for example ["vllm", "serve", "--port", "{port}"]',
    "decimal_parsing": "must be a number of dollars",
    "missing": "is missing",
}


def _meant(path: list[str]) -> str:
    """A known name much like the unknown one, as a question."""
    known: list[str] = list(Settings.model_fields)
    if len(path) > 1:
        section = EndpointSettings if path[0] == "endpoints" else GatewaySettings
        known = list(section.model_fields)
    near = difflib.get_close_matches(path[-1], known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _spec(name: str, endpoint: EndpointSettings) -> Spec:
    return Spec(
        name=name,
        max_top_up=timedelta(minutes=endpoint.max_top_up_minutes),
        max_ahead=timedelta(minutes=endpoint.max_minutes_ahead),
        startup_credit=timedelta(minutes=endpoint.startup_credit_minutes),
        drain=timedelta(seconds=endpoint.drain_seconds),
        warn_before=tuple(timedelta(minutes=minutes) for minutes in endpoint.warn_minutes),
        price_per_hour=endpoint.price_per_hour,
        device=endpoint.device,
    )
