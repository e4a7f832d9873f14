"""`[notify]` of parkmeter.toml: who is told of events. And what all sections have in common."""

import os
import re
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

SHORTEST_SECRET = 16

_MOST = 16
"""Receivers of a kind: each has a thread."""

_FROM_ENVIRONMENT = "env:"

APPRISE = "^[a-z][a-z0-9+.-]*://."
"""How an address of apprise begins; the rest, apprise knows."""


class Section(BaseModel):
    """What every section of the configuration keeps to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch(cls, value: object) -> object:
        # Nothing here is a switch, and pydantic would take true for 1.
        if isinstance(value, bool):
            raise ValueError("must not be true or false")  # noqa: TRY004 (a finding of pydantic's)
        return value


class WebhookSettings(Section):
    """One webhook."""

    url: str = Field(description="Where events are POSTed, http or https.")
    secret: str = Field(
        description='Signs every event; 16 characters or more. "env:NAME": what that variable of '
        "the gateway's environment says.",
        repr=False,
        exclude=True,
    )

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        return check_address(value, "https://example.org/parkmeter")

    @field_validator("secret")
    @classmethod
    def _found(cls, value: str, info: ValidationInfo) -> str:
        if value.startswith(_FROM_ENVIRONMENT):
            environment: Mapping[str, str] = os.environ if info.context is None else info.context
            name = value.removeprefix(_FROM_ENVIRONMENT)
            value = environment.get(name, "")
            if not value:
                raise ValueError(f"the environment has no {name!r}")
        if len(value) < SHORTEST_SECRET:
            raise ValueError(f"needs {SHORTEST_SECRET} characters or more")
        return value


Told = Literal["warning", "start", "ready", "failure", "stop", "top-up"]


class NotifySettings(Section):
    """Who is told of events: `[notify]`."""

    webhooks: Annotated[tuple[WebhookSettings, ...], Field(max_length=_MOST)] = Field(
        (), description="Each event is POSTed there as signed JSON; see docs/events.md."
    )
    apprise: Annotated[tuple[str, ...], Field(max_length=_MOST)] = Field(
        (),
        description='Addresses as apprise writes them, such as "slack://…"; needs '
        "parkmeter[notify].",
        repr=False,
        exclude=True,
    )
    events: tuple[Told, ...] = Field(
        ("warning", "start", "ready", "failure", "stop", "top-up"),
        description="What they are told of. Left out: all of these.",
    )

    @field_validator("webhooks")
    @classmethod
    def _once(cls, value: tuple[WebhookSettings, ...]) -> tuple[WebhookSettings, ...]:
        if len({webhook.url for webhook in value}) < len(value):
            raise ValueError("the same url stands there twice")
        return value

    @field_validator("apprise")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.match(APPRISE, address) for address in value):
            raise ValueError('must be addresses as apprise writes them, such as "slack://…"')
        if len(set(value)) < len(value):
            raise ValueError("the same address stands there twice")
        return value


def check_address(value: str, example: str) -> str:
    """The value, if it is an address of the web. Raises ValueError, in words for people."""
    wrong = f'must be an address that begins with http:// or https://, such as "{example}"'
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(wrong) from None
    good = parts.scheme in {"http", "https"} and parts.hostname and port != 0
    if not good or re.search(r"[^\x21-\x7e]", value):
        raise ValueError(wrong)
    return value
