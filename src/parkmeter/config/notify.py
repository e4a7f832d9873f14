"""`[notify]` of parkmeter.toml: the receivers of events."""

import re
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from parkmeter.config.section import Section, check_address, check_secret, from_environment

_MOST_RECEIVERS = 16
"""Of each kind: every receiver has a thread."""

APPRISE = "^[a-z][a-z0-9+.-]*://."
"""The start of an apprise address; apprise itself checks the rest."""


class WebhookSettings(Section):
    """One webhook."""

    url: str = Field(description="URL that receives events by POST, http or https.")
    secret: str = Field(
        description="Signs every event; at least 16 characters. `whsec_` and base64 suits "
        'libraries of Standard Webhooks. "env:NAME" reads it from that variable of the '
        "gateway's environment.",
        repr=False,
        exclude=True,
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        return check_address(value, "https://example.org/parkmeter")

    @field_validator("secret")
    @classmethod
    def _read_secret(cls, value: str, info: ValidationInfo) -> str:
        return check_secret(from_environment(value, info))


EventType = Literal["warning", "start", "ready", "failure", "stop", "top-up"]


class NotifySettings(Section):
    """The receivers of events: `[notify]`."""

    webhooks: Annotated[tuple[WebhookSettings, ...], Field(max_length=_MOST_RECEIVERS)] = Field(
        (), description="Each receives events as signed JSON; see docs/events.md."
    )
    apprise: Annotated[tuple[str, ...], Field(max_length=_MOST_RECEIVERS)] = Field(
        (),
        description='Apprise addresses, such as "slack://…"; needs the extra `notify`.',
        repr=False,
        exclude=True,
    )
    events: tuple[EventType, ...] = Field(
        ("warning", "start", "ready", "failure", "stop", "top-up"),
        description="Types of events to send. Default: all of these.",
    )

    @field_validator("webhooks")
    @classmethod
    def _check_webhooks(cls, value: tuple[WebhookSettings, ...]) -> tuple[WebhookSettings, ...]:
        if len({webhook.url for webhook in value}) < len(value):
            raise ValueError("lists the same url twice")
        return value

    @field_validator("apprise")
    @classmethod
    def _check_apprise(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.match(APPRISE, address) for address in value):
            raise ValueError('must be apprise addresses, such as "slack://…"')
        if len(set(value)) < len(value):
            raise ValueError("lists the same address twice")
        return value
