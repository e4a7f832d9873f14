"""Settings of `app.py`: the deployment, validated before synth. Its endpoints are in `endpoint.py`.

Frozen values and their rules. Knows no construct and makes no call.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from parkmeter.core.events import MAILED
from parkmeter.core.reserved import RESERVED
from stacks.endpoint import Container, Endpoint, JumpStart, Vpc, is_number, is_whole
from stacks.names import (
    DEFAULT_PREFIX,
    LONGEST_BUCKET,
    LONGEST_ENDPOINT,
    LONGEST_FUNCTION,
    TAG,
    Names,
)

__all__ = ["Container", "Endpoint", "ExistingTable", "JumpStart", "Settings", "Vpc"]

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_ADDRESS = re.compile(r"https://[^\s/?#]+(/[^\s/?#]+)*")
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_KEY = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+")
_POLICY = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+")

_TAG = re.compile(r"[\w .:/=+@-]{0,128}", re.ASCII)

LEAST_FOR_CLOCK = 5
"""Its runs overlap: ticks, and one for each top-up and each change of a state."""

_LONGEST_TAGS = 800
"""Characters in all: they are part of an endpoint's definition, in an SSM parameter of 4 KB."""


@dataclass(frozen=True, slots=True)
class ExistingTable:
    """A table that exists already, such as one that an earlier deployment retained.

    The stack uses it and neither creates nor deletes it. The key of an auth table is `token`, a
    string; a table of meters is one of parkmeter's own.
    """

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A deployment.

    `notification_events`: the kinds of entries that are mailed. `public_url`: the API's address for
    the links in mails, if it has a domain of yours.

    `auth_table`, `meters_table`: another name for a table, where the account has one of the default
    name, or an `ExistingTable`. Set them before the first deployment: a table under another name is
    a new one. `production`: tables outlive their stacks, and neither can be deleted by mistake.
    `tags`: of everything, metered endpoints too. `kms_key`: the ARN of a key of yours that encrypts
    tables, async objects, and the disks of instances. `permissions_boundary`: the ARN of a policy
    that bounds every role. `clock_concurrency`: concurrent functions that are kept for the clock,
    out of the account's quota; None: it shares that with all others.
    """

    region: str
    endpoints: tuple[Endpoint, ...]
    prefix: str = DEFAULT_PREFIX
    initial_provision_time_minutes: float = 60
    notification_email: str | None = None
    notification_events: tuple[str, ...] = tuple(MAILED)
    public_url: str | None = None
    log_days: int = 30
    auth_table: str | ExistingTable | None = None
    meters_table: str | ExistingTable | None = None
    production: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    kms_key: str | None = None
    permissions_boundary: str | None = None
    clock_concurrency: int | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", self.region):
            raise ValueError(f"region {self.region!r}: for example us-east-1")
        if self.notification_email is not None and not _EMAIL.fullmatch(self.notification_email):
            raise ValueError(f"notification_email {self.notification_email!r}: an address, or None")
        if unknown := [kind for kind in self.notification_events if kind not in set(MAILED)]:
            known = ", ".join(MAILED)
            raise ValueError(f"notification_events {unknown}: in brackets, of {known}")
        if self.public_url is not None and not _ADDRESS.fullmatch(self.public_url):
            raise ValueError(f"public_url {self.public_url!r}: https://…, without a trailing slash")
        given: object = self.endpoints
        if not isinstance(given, tuple) or not given:
            raise ValueError("endpoints: one or more in brackets, one with a comma: (FLAN_T5_XXL,)")
        self._check_options()
        self._check_paths()
        self._check_lengths()

    @property
    def names(self) -> Names:
        """The literal names of this deployment."""
        meters, auth = (
            one.name if isinstance(one, ExistingTable) else one or ""
            for one in (self.meters_table, self.auth_table)
        )
        return Names(self.prefix, meters, auth)

    def initial_minutes(self, endpoint: Endpoint) -> float:
        """Return the minutes that an endpoint's meter gets on its first provisioning."""
        own = endpoint.initial_provision_time_minutes
        minutes = self.initial_provision_time_minutes if own is None else own
        if not is_number(minutes) or not 0 <= minutes <= endpoint.max_minutes_ahead:
            raise ValueError(
                f"endpoint {endpoint.name!r}: initial_provision_time_minutes {minutes!r}: "
                f"0 to {endpoint.max_minutes_ahead:g}"
            )
        return minutes

    def _check_options(self) -> None:
        names = self.names
        for name in (names.auth_table, names.meters_table):
            if not _TABLE.fullmatch(name):
                raise ValueError(f"table {name!r}: 3 to 255 letters, digits, _ . or -")
        if names.auth_table == names.meters_table:
            raise ValueError(f"auth_table and meters_table: both are {names.auth_table!r}")
        if self.kms_key is not None and not _KEY.fullmatch(self.kms_key):
            raise ValueError(f"kms_key {self.kms_key!r}: the ARN of a key: arn:aws:kms:…:key/…")
        boundary = self.permissions_boundary
        if boundary is not None and not _POLICY.fullmatch(boundary):
            raise ValueError(f"permissions_boundary {boundary!r}: arn:aws:iam::…:policy/…")
        kept = self.clock_concurrency
        if kept is not None and (not is_whole(kept) or kept < LEAST_FOR_CLOCK):
            raise ValueError(f"clock_concurrency {kept!r}: {LEAST_FOR_CLOCK} or more, or None")
        given: object = self.tags
        if not isinstance(given, Mapping):
            raise ValueError('tags: in braces: {"team": "search"}')  # noqa: TRY004 (as all others)
        if sum(len(f"{key}{value}") for key, value in self.tags.items()) > _LONGEST_TAGS:
            raise ValueError(f"tags: at most {_LONGEST_TAGS} characters in all")
        for key, value in self.tags.items():
            if key == TAG or key.lower().startswith("aws:") or not key or not _is_tag(key, value):
                raise ValueError(f"tags {key!r}: {value!r}: a key and a text that AWS accepts")

    def _check_paths(self) -> None:
        taken = dict.fromkeys(RESERVED, "parkmeter itself")
        for endpoint in self.endpoints:
            for path in (endpoint.resource.lower(), f"{endpoint.resource.lower()}-async"):
                if path in taken:
                    raise ValueError(
                        f"endpoint {endpoint.name!r}: the path /{path} is taken by {taken[path]}"
                    )
                taken[path] = endpoint.name
            self.initial_minutes(endpoint)
        made = [name for one in self.endpoints for name in (one.name, f"{one.name}-async")]
        if len(set(made)) != len(made):
            raise ValueError("endpoints: no name may be another endpoint's name with -async")
        for unique in ("name", "title"):
            if len({getattr(one, unique) for one in self.endpoints}) != len(self.endpoints):
                raise ValueError(f"endpoints: each {unique} once; stacks are named after them")

    def _check_lengths(self) -> None:
        names, account = self.names, "0" * 12
        for endpoint in self.endpoints:
            name = endpoint.name
            for made, longest in (
                (names.async_bucket(name, account, self.region), LONGEST_BUCKET),
                (names.async_endpoint(name), LONGEST_ENDPOINT),
                (names.inference(name), LONGEST_FUNCTION),
                (names.async_bucket_function(name), LONGEST_FUNCTION),
                (names.price_function(name), LONGEST_FUNCTION),
            ):
                if len(made) > longest:
                    raise ValueError(
                        f"endpoint {name!r}: {made} has more than {longest} characters; "
                        "shorten name or prefix"
                    )


def _is_tag(key: object, value: object) -> bool:
    return all(isinstance(one, str) and bool(_TAG.fullmatch(one)) for one in (key, value))
