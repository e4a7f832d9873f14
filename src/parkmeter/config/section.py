"""The base of every section of the configuration, and the kinds of values they share."""

import os
import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

_A_WEEK = 604_800
Seconds = Annotated[float, Field(gt=0, le=_A_WEEK, allow_inf_nan=False)]
SecondsOrZero = Annotated[float, Field(ge=0, le=_A_WEEK, allow_inf_nan=False)]
Minutes = Annotated[float, Field(ge=0, le=525_600, allow_inf_nan=False)]
MinutesAboveZero = Annotated[float, Field(gt=0, le=525_600, allow_inf_nan=False)]

FROM_ENVIRONMENT = "env:"
SHORTEST_SECRET = 16


class Section(BaseModel):
    """A section of the configuration: frozen, without unknown settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _check_booleans(cls, value: object, info: ValidationInfo) -> object:
        # pydantic would take true for 1 where a number is due, and "no" for false.
        wanted = info.field_name and cls.model_fields[info.field_name].annotation is bool
        if isinstance(value, bool) != wanted:
            raise ValueError("must be true or false" if wanted else "must not be true or false")
        return value


def check_address(value: str, example: str) -> str:
    """Return the value if it is an http or https address; raise ValueError otherwise."""
    mistake = f'must be an address that begins with http:// or https://, such as "{example}"'
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(mistake) from None
    valid = parts.scheme in {"http", "https"} and parts.hostname and port != 0
    if not valid or re.search(r"[^\x21-\x7e]", value):
        raise ValueError(mistake)
    return value


def from_environment(value: str, info: ValidationInfo) -> str:
    """Return the value, or with `env:NAME` that of the variable; raise ValueError if it is unset.

    `info.context`: the variables; None: the process's own.
    """
    if not value.startswith(FROM_ENVIRONMENT):
        return value
    environment: Mapping[str, str] = os.environ if info.context is None else info.context
    name = value.removeprefix(FROM_ENVIRONMENT)
    if not (found := environment.get(name, "")):
        raise ValueError(f"the environment variable {name!r} is not set")
    return found


def check_secret(value: str) -> str:
    """Return the value if it is long enough for a secret; raise ValueError otherwise."""
    if len(value) < SHORTEST_SECRET:
        raise ValueError(f"must have at least {SHORTEST_SECRET} characters")
    return value
