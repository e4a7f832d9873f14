"""Settings from their sources: command line, environment (`PARKMETER_…`), file, defaults.

The first of these that has a setting wins.
"""

import importlib.util
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from parkmeter.client_file import default_state
from parkmeter.config.diagnostics import Mistake, Origin, config_error, error_of
from parkmeter.config.gateway import GatewaySettings
from parkmeter.config.notify import NotifySettings, WebhookSettings
from parkmeter.config.section import FROM_ENVIRONMENT
from parkmeter.config.settings import (
    OF_THE_ENVIRONMENT,
    DemoSettings,
    EndpointSettings,
    Settings,
)
from parkmeter.config.toml_lines import Lines
from parkmeter.errors import ConfigError

_SHORTEST_BOOTSTRAP_TOKEN = 16
_ENGINE = "ctranslate2"


def load_settings(
    *,
    config: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    host: str | None = None,
    port: int | None = None,
    state: Path | None = None,
) -> Settings:
    """Return the settings from all sources; without a file, those of the demo.

    Raises:
        ConfigError: names the file, the line, the key, the value and what would be right.

    """
    file = config_file(config, environment)
    text = _read(file) if file else ""
    document = _parsed(text, file) if file else {}
    given, elsewhere = _overrides(environment, {"host": host, "port": port, "state": state})
    origin = Origin(str(file or "The environment"), text, elsewhere, _is_secret)
    if "bootstrap_token" in document:
        message = "a token does not belong here; set PARKMETER_BOOTSTRAP_TOKEN"
        line = Lines(text).of(("bootstrap_token",))
        raise error_of([Mistake(origin.name, line, "bootstrap_token", message)])
    if "environment_read" in document:
        line = Lines(text).of(("environment_read",))
        raise error_of(
            [Mistake(origin.name, line, "environment_read", "is no setting of the file")]
        )
    gateway = document.get("gateway", {})
    if isinstance(gateway, dict):
        gateway = {"state": state_folder(None, environment), **gateway, **given}
    token = environment.get("PARKMETER_BOOTSTRAP_TOKEN") or None
    _check_token(token)
    try:
        settings = (Settings if file else DemoSettings).model_validate(
            {
                **document,
                "gateway": gateway,
                "bootstrap_token": token,
                "environment_read": frozenset(_read_from_environment(document)),
            },
            context=environment,
        )
    except ValidationError as error:
        raise config_error(error.errors(include_url=False), origin, _settings_in) from None
    _check_engine(settings, origin)
    return settings


def config_file(option: Path | None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file named by the command line or the environment, if any."""
    named = environment.get("PARKMETER_CONFIG")
    return option or (Path(named) if named else None)


def state_folder(option: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the state folder named by the command line or the environment, or the default."""
    named = option or environment.get("PARKMETER_STATE")
    if named:
        return Path(named).expanduser().absolute()
    return default_state(environment)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration file {file}. Name an existing one; without any, "
            "`parkmeter up` runs the demo endpoint."
        ) from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} cannot be read: it is not UTF-8 ({error.reason}).") from None


def _parsed(text: str, file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        message = "cannot be read as TOML: it is nested too deep"
        raise error_of([Mistake(str(file), None, "", message)]) from None
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).removesuffix(")").rpartition(" (at line ")
        line = int(number) if (number := where.partition(",")[0]).isdigit() else None
        if not what:  # a file that ends too early: the error has no line, so it is the last one
            what = str(error).partition(" (")[0] + " at the end"
            line = len(text.splitlines())
        message = f"cannot be read as TOML: {what}"
        raise error_of([Mistake(str(file), line, "", message)]) from None


def _overrides(
    environment: Mapping[str, str], options: Mapping[str, object]
) -> tuple[dict[str, object], dict[tuple[str, ...], str]]:
    """Return the gateway's settings from command line and environment, and the source of each."""
    given: dict[str, object] = {}
    sources: dict[tuple[str, ...], str] = {}
    for key, option in options.items():
        variable = f"PARKMETER_{key.upper()}"
        value = option if option is not None else environment.get(variable)
        if value not in (None, ""):
            given[key] = value
            sources["gateway", key] = f"--{key}" if option is not None else variable
    return given, sources


def _read_from_environment(part: object) -> Iterator[str]:
    """Yield the names of the variables that a document reads with `env:`."""
    match part:
        case dict():
            for value in part.values():
                yield from _read_from_environment(value)
        case list():
            for value in part:
                yield from _read_from_environment(value)
        case str() if part.startswith(FROM_ENVIRONMENT):
            yield part.removeprefix(FROM_ENVIRONMENT)
        case _:
            pass


def _check_engine(settings: Settings, origin: Origin) -> None:
    """Refuse a model for the embedded server where its engine is not installed."""
    embedded = [name for name, one in settings.endpoints.items() if one.model is not None]
    if not embedded or importlib.util.find_spec(_ENGINE) is not None:
        return
    path = ("endpoints", embedded[0], "model")
    message = (
        "needs the embedded model server: install parkmeter[t5], or name your own server in a "
        "configuration, by command = [...]"
    )
    raise error_of([Mistake(origin.name, Lines(origin.text).of(path), ".".join(path), message)])


def _check_token(token: str | None) -> None:
    if token is None:
        return
    if len(token) < _SHORTEST_BOOTSTRAP_TOKEN:
        raise ConfigError(
            f"PARKMETER_BOOTSTRAP_TOKEN must have at least {_SHORTEST_BOOTSTRAP_TOKEN} characters."
        )
    if not re.fullmatch(r"[\x21-\x7e]+", token) or token.startswith("sha256:"):
        raise ConfigError(
            "PARKMETER_BOOTSTRAP_TOKEN must be visible ASCII without spaces and must not begin "
            "with sha256:."
        )


def _is_secret(path: tuple[str, ...]) -> bool:
    """Return whether a value must not be repeated: addresses of receivers contain passwords."""
    match path:
        case ("notify", "events", *_):
            return False
        case ("notify", *_) | ("endpoints", _, "upstream_headers", *_):
            return True
        case ("gateway", setting, *_):
            return "secret" in setting  # also if it is spelled wrong
        case _:
            return False


def _settings_in(section: tuple[str, ...]) -> list[str]:
    """Return the names of the settings that a section may have."""
    match section:
        case ():
            return [name for name in Settings.model_fields if name not in OF_THE_ENVIRONMENT]
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
