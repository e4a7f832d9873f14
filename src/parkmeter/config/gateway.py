"""The settings of the gateway itself: `[gateway]` of parkmeter.toml."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from parkmeter.config.http_names import check_header_name, check_origin
from parkmeter.config.section import (
    Seconds,
    Section,
    check_address,
    check_secret,
    from_environment,
)

_HOST = r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?"
_NO_PERSON = frozenset({"api-key", "authorization", "cookie", "x-api-key"})


class GatewaySettings(Section):
    """The gateway itself: `[gateway]`."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0: any free one.")
    state: Path | None = Field(
        None,
        description="Folder of the store, logs and client.json. Default: "
        "$XDG_STATE_HOME/parkmeter or ~/.local/state/parkmeter.",
    )
    changes_burst: int = Field(
        300, ge=1, le=1_000_000, description="Most changes at once with one token: 429 beyond."
    )
    changes_per_second: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] = Field(
        10, description="Changes a second by which that fills up again."
    )
    journal_days: int | None = Field(
        None,
        ge=400,
        le=36_500,
        description="Days after which lines of the journal are deleted, 400 or more; their sums by "
        "day stay. Default: never.",
    )
    shutdown_seconds: Seconds = Field(
        10, description="Seconds for requests in flight to finish when the gateway stops."
    )
    backup_days: int = Field(
        7,
        ge=0,
        le=3650,
        description="Days whose backup of the store is kept in the state folder; 0: make none.",
    )
    public_url: str | None = Field(
        None,
        description="Public URL of the gateway, the base of every address that it gives, such as "
        "https://meter.example.org/prod. Default: what the client called, in messages its own "
        "address, valid on this machine only.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Further Host names accepted without a token while the gateway listens on "
        "loopback only; *.example.org matches all below it. Always accepted: localhost, "
        "addresses, and the host of public_url.",
        examples=[["meter.example.org"]],
    )
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="Addresses or networks of proxies whose X-Forwarded-For, -Proto, -Host and "
        "-Prefix are believed. Default: none, not even on this machine.",
        examples=[["127.0.0.1", "10.0.0.0/8"]],
    )
    proxy_secret: str | None = Field(
        None,
        description="Secret that a trusted proxy shows in the header Parkmeter-Proxy-Secret to "
        'name the person who asks; at least 16 characters. "env:NAME" reads it from that variable '
        "of the gateway's environment.",
        repr=False,
        exclude=True,
    )
    person_header: str | None = Field(
        None,
        description="Header in which such a proxy names the person; needs proxy_secret. The name "
        "is shown in journal and receipt and gives no right. Default: none.",
        examples=["X-Forwarded-Email", "Tailscale-User-Login"],
    )
    allow_origins: tuple[str, ...] = Field(
        (),
        description="Exact origins whose pages may read answers (CORS), with a token that they "
        "send themselves. Default: none.",
        examples=[["https://chat.example.org"]],
    )
    max_connections: int | None = Field(
        None,
        ge=16,
        description="Most client connections; the one idle for longest is closed for a new one. "
        "Default: what the limit on file descriptors allows, at most 10,000.",
    )
    max_connections_per_peer: int | None = Field(
        None,
        ge=8,
        description="Most connections of one address on which no valid token has come; trusted "
        "proxies have no such limit. Default: a quarter of max_connections.",
    )

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not re.fullmatch(_HOST, name):
                raise ValueError(f"{name!r} must be a host without scheme, port and path")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ip_network(network, strict=False)
            except ValueError:
                raise ValueError(f"{network!r} is neither an address nor a network") from None
        return value

    @field_validator("proxy_secret")
    @classmethod
    def _read_secret(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else check_secret(from_environment(value, info))

    @field_validator("person_header")
    @classmethod
    def _check_person_header(cls, value: str | None) -> str | None:
        if value is not None and value.lower() in _NO_PERSON:
            raise ValueError("must not be a header with a credential or cookies")
        return None if value is None else check_header_name(value)

    @field_validator("allow_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(check_origin, value))

    @model_validator(mode="after")
    def _check_person(self) -> Self:
        if self.person_header is not None and self.proxy_secret is None:
            raise ValueError(
                "person_header needs proxy_secret: without it any program on the proxy's machine "
                "could name anyone"
            )
        return self

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        check_address(value, "https://meter.example.org/prod")
        if "?" in value or "#" in value:
            raise ValueError("must not contain ? or #: paths are appended to it")
        return value.rstrip("/")
