"""parkmeter.toml and the environment, as frozen, validated settings.

Order of precedence: command line, environment (`PARKMETER_…`), file, defaults. Nothing here starts
anything; `wiring` makes things from settings. `config_mistakes` says what is wrong with them.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from parkmeter.client_file import default_state
from parkmeter.config.diagnostics import FOUND_TOGETHER, Mistake, Origin, error_of, refusal
from parkmeter.config.hours import HoursTexts, too_long
from parkmeter.config.notify import NotifySettings, Section, WebhookSettings, check_address
from parkmeter.config.toml_lines import Lines
from parkmeter.core.hours import EXAMPLE, Hours
from parkmeter.core.meter import LOCAL, Price, Spec
from parkmeter.core.money import MOST_AN_HOUR, PRICE_PLACES
from parkmeter.core.reserved import RESERVED
from parkmeter.errors import ConfigError

ENDPOINT_NAME = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
"""SageMaker's rule for endpoint names, so that a configuration can move there."""

PATH_SEGMENT = "[A-Za-z0-9][A-Za-z0-9._~-]{0,62}"

SHORTEST_BOOTSTRAP_TOKEN = 16

_A_WEEK = 604_800
Seconds = Annotated[float, Field(gt=0, le=_A_WEEK, allow_inf_nan=False)]
SecondsOrZero = Annotated[float, Field(ge=0, le=_A_WEEK, allow_inf_nan=False)]
Minutes = Annotated[float, Field(ge=0, le=525_600, allow_inf_nan=False)]
MinutesAboveZero = Annotated[float, Field(gt=0, le=525_600, allow_inf_nan=False)]


_PRICE = Field(ge=0, le=MOST_AN_HOUR, decimal_places=PRICE_PLACES, allow_inf_nan=False)


class EndpointSettings(Section):
    """One endpoint: `[endpoints.NAME]`."""

    model: str | None = Field(
        None,
        description='What the embedded server serves: "demo" (the shipped model), a folder with a '
        "T5, or a hub id. Either this or command.",
    )
    command: tuple[str, ...] | None = Field(
        None,
        description="Any other server's command line, word by word; {port} is replaced by the free "
        "port it is to listen on (127.0.0.1). Either this or model.",
    )
    stop_command: tuple[str, ...] | None = Field(
        None,
        description="Run instead of SIGTERM to stop what a signal does not reach, such as a "
        "container; {port} is replaced as in command.",
    )
    environment: dict[str, str] = Field({}, description="Added to the server's environment.")
    api_resource: str = Field(
        "", description="Path under which prompts reach it, one segment. Empty: the name."
    )
    health: str = Field("/ping", description="GET on this path answers 200 as soon as it is ready.")
    health_timeout_seconds: Seconds = Field(
        5, description="Seconds that one answer of the health check may take."
    )
    invocations_path: str = Field("/invocations", description="Where the server takes prompts.")
    start_timeout_seconds: Seconds = Field(
        600, description="Seconds after which a server that is not ready counts as failed."
    )
    stop_grace_seconds: Seconds = Field(10, description="Seconds from SIGTERM to SIGKILL.")
    initial_provision_time_minutes: Minutes = Field(
        60, description="Minutes on the meter at the very first start; fractions allowed."
    )
    price_per_hour: Annotated[Decimal, _PRICE] | None = Field(
        None,
        description="Dollars per hour, at most 9 decimal places. Left out: unknown, never zero.",
    )
    drain_seconds: SecondsOrZero = Field(
        30, description="Seconds that requests in flight get at the close."
    )
    device: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        None, description='What it runs on, such as "gpu0"; held by one open meter at a time.'
    )
    startup_credit_minutes: Minutes = Field(
        30, description="Minutes a start may take without using bought time; 0: none."
    )
    max_top_up_minutes: Minutes = Field(1440, description="Most minutes of one top-up.")
    max_minutes_ahead: Minutes = Field(10080, description="Most minutes on the meter.")
    hours: HoursTexts = Field(
        (),
        description="When it runs by itself: days, times and time zone, or a list of such. The "
        "meter is topped up to the end of each window as it begins.",
        examples=[EXAMPLE],
    )
    idle_minutes: MinutesAboveZero | None = Field(
        None, description="Minutes without a prompt after which it is ejected. Left out: never."
    )
    wake_minutes: MinutesAboveZero | None = Field(
        None,
        description="Minutes that a prompt to the closed meter buys, if its token may top up. "
        "Left out: none.",
    )
    warn_minutes: tuple[Minutes, ...] = Field(
        (10, 2), description="Minutes before the close at which people are warned."
    )
    extend_minutes: Annotated[float, Field(gt=0, le=525_600, allow_inf_nan=False)] = Field(
        30, description="Minutes that the link in a warning adds, as far as one top-up may."
    )
    max_body_bytes: int = Field(10 * 1024 * 1024, gt=0, description="Most bytes of a prompt.")
    max_wait_seconds: Seconds = Field(
        120, description="Most seconds that `Prefer: wait` holds a request."
    )
    max_waiting: int = Field(64, ge=0, description="Most requests held at once.")
    first_byte_timeout_seconds: Seconds = Field(
        600, description="Seconds until the first byte of an answer."
    )
    idle_timeout_seconds: Seconds = Field(
        600, description="Seconds between two pieces of an answer."
    )

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


class GatewaySettings(Section):
    """The gateway itself: `[gateway]`."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0: any free one.")
    state: Path | None = Field(
        None,
        description="Folder of the store, logs and client.json. Left out: "
        "$XDG_STATE_HOME/parkmeter or ~/.local/state/parkmeter.",
    )
    shutdown_seconds: Seconds = Field(
        10, description="Seconds for requests in flight when the gateway is stopped."
    )
    public_url: str | None = Field(
        None,
        description="Where people reach the gateway, for links in messages, such as "
        "https://meter.example.org/prod. Left out: its own address, good on this machine only.",
    )

    @field_validator("public_url")
    @classmethod
    def _base(cls, value: str | None) -> str | None:
        if value is None:
            return None
        check_address(value, "https://meter.example.org/prod")
        if "?" in value or "#" in value:
            raise ValueError("must be an address that a path can be added to, without ? or #")
        return value.rstrip("/")


class Settings(Section):
    """Everything a gateway needs to know."""

    gateway: GatewaySettings = GatewaySettings()
    notify: NotifySettings = NotifySettings()
    endpoints: dict[str, EndpointSettings]
    bootstrap_token: Annotated[str | None, Field(repr=False, exclude=True)] = None

    @model_validator(mode="after")
    def _names(self) -> Self:
        wrong: list[tuple[tuple[str, ...], str, object]] = []
        if not self.endpoints:
            wrong.append((("endpoints",), "at least one [endpoints.NAME] is needed", None))
        taken: dict[str, str] = {}
        for name, endpoint in self.endpoints.items():
            path = ("endpoints", name)
            if not re.fullmatch(ENDPOINT_NAME, name):
                said = "a name has at most 63 letters, digits and inner hyphens"
                wrong.append((path, said, name))
                continue
            resource = endpoint.api_resource or name
            said = _why_no_resource(resource, taken)
            if said:
                wrong.append(((*path, "api_resource"), said, resource))
            taken.setdefault(resource, name)
            longest = timedelta(minutes=endpoint.max_minutes_ahead)
            if said := too_long(endpoint.hours, longest):
                wrong.append(((*path, "hours"), said, endpoint.hours[0]))
            most = min(endpoint.max_top_up_minutes, endpoint.max_minutes_ahead)
            if endpoint.wake_minutes is not None and endpoint.wake_minutes > most:
                said = f"is more than a top-up may be ({most:g})"
                wrong.append(((*path, "wake_minutes"), said, endpoint.wake_minutes))
        if wrong:
            raise PydanticCustomError(FOUND_TOGETHER, "names do not fit", {"findings": wrong})
        return self

    def resource_of(self, name: str) -> str:
        """The path segment under which prompts reach an endpoint."""
        return self.endpoints[name].api_resource or name

    def spec(self, name: str) -> Spec:
        """What the core knows of an endpoint; of one that is not configured any more: its name."""
        return _spec(name, self.endpoints[name]) if name in self.endpoints else Spec(name)

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
    file = config_file(config, environment)
    text = _text(file) if file else ""
    document = _parsed(text, file) if file else {"endpoints": default_endpoints()}
    options = {"host": host, "port": port, "state": state}
    given, elsewhere = _given_elsewhere(environment, options)
    origin = Origin(str(file or "The environment"), text, elsewhere, _is_secret)
    if "bootstrap_token" in document:
        right = "a token does not belong here; set PARKMETER_BOOTSTRAP_TOKEN"
        line = Lines(text).of(("bootstrap_token",))
        raise error_of([Mistake(origin.name, line, "bootstrap_token", right)])
    gateway = document.get("gateway", {})
    if isinstance(gateway, dict):
        gateway = {"state": state_folder(None, environment), **gateway, **given}
    token = environment.get("PARKMETER_BOOTSTRAP_TOKEN") or None
    _check_token(token)
    try:
        return Settings.model_validate(
            {**document, "gateway": gateway, "bootstrap_token": token}, context=environment
        )
    except ValidationError as error:
        raise refusal(error.errors(include_url=False), origin, _known) from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"There is no configuration file {file}.") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} cannot be read: it is not UTF-8 ({error.reason}).") from None


def _parsed(text: str, file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).removesuffix(")").rpartition(" (at line ")
        line = int(number) if (number := where.partition(",")[0]).isdigit() else None
        if what:
            wrong = f"cannot be read as TOML: {what}"
        else:  # its words where a file ends too early: no line, but the last one
            what = str(error).partition(" (")[0]
            wrong, line = f"cannot be read as TOML: {what} at the end", len(text.splitlines())
        raise error_of([Mistake(str(file), line, "", wrong)]) from None


def _given_elsewhere(
    environment: Mapping[str, str], options: Mapping[str, object]
) -> tuple[dict[str, object], dict[tuple[str, ...], str]]:
    """What the command line and the environment say of the gateway, and which of them it was."""
    given: dict[str, object] = {}
    named: dict[tuple[str, ...], str] = {}
    for key, option in options.items():
        variable = f"PARKMETER_{key.upper()}"
        value = option if option is not None else environment.get(variable)
        if value not in (None, ""):
            given[key] = value
            named["gateway", key] = f"--{key}" if option is not None else variable
    return given, named


def config_file(option: Path | None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file that the command line or the environment names; None: neither does."""
    named = environment.get("PARKMETER_CONFIG")
    return option or (Path(named) if named else None)


def state_folder(option: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The state folder as far as the command line and the environment say, else the usual one."""
    named = option or environment.get("PARKMETER_STATE")
    if named:
        return Path(named).expanduser().absolute()
    return default_state(environment)


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


def _is_secret(path: tuple[str, ...]) -> bool:
    """Whether a value is not to be repeated: addresses of receivers have passwords in them."""
    return path[0] == "notify" and path[1:2] != ("events",)


def _known(section: tuple[str, ...]) -> list[str]:
    """The settings that may stand in a section."""
    match section:
        case ():
            return [name for name in Settings.model_fields if name != "bootstrap_token"]
        case ("gateway",):
            return list(GatewaySettings.model_fields)
        case ("notify",):
            return list(NotifySettings.model_fields)
        case ("notify", "webhooks", _):
            return list(WebhookSettings.model_fields)
        case ("endpoints", _):
            return list(EndpointSettings.model_fields)
        case _:
            return []


def _why_no_resource(resource: str, taken: Mapping[str, str]) -> str:
    """Why prompts cannot come under this path; empty if they can."""
    if not re.fullmatch(PATH_SEGMENT, resource):
        return "is no path segment: letters, digits and . _ ~ - only, at most 63"
    if resource.lower() in RESERVED:
        return "is one of the gateway's own paths; set another api_resource"
    if resource in taken:
        return f"is taken by endpoint {taken[resource]!r}; set another api_resource"
    return ""


def _spec(name: str, endpoint: EndpointSettings) -> Spec:
    price = endpoint.price_per_hour
    return Spec(
        name=name,
        max_top_up=timedelta(minutes=endpoint.max_top_up_minutes),
        max_ahead=timedelta(minutes=endpoint.max_minutes_ahead),
        startup_credit=timedelta(minutes=endpoint.startup_credit_minutes),
        drain=timedelta(seconds=endpoint.drain_seconds),
        warn_before=tuple(timedelta(minutes=minutes) for minutes in endpoint.warn_minutes),
        prices={} if price is None else {LOCAL: Price(price, "configuration")},
        device=endpoint.device,
        hours=Hours.of(endpoint.hours) if endpoint.hours else None,
        idle=_span(endpoint.idle_minutes),
        wake=_span(endpoint.wake_minutes),
        extend_by=timedelta(minutes=endpoint.extend_minutes),
    )


def _span(minutes: float | None) -> timedelta | None:
    return None if minutes is None else timedelta(minutes=minutes)
