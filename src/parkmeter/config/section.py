"""The base of every section of the configuration, and the check of web addresses they share."""

import re
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, field_validator


class Section(BaseModel):
    """A section of the configuration: frozen, without unknown settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_booleans(cls, value: object) -> object:
        # No setting is a boolean, and pydantic would take true for 1.
        if isinstance(value, bool):
            raise ValueError("must not be true or false")  # noqa: TRY004 (pydantic's own error)
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
