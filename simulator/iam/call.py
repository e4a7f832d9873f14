"""An API call, what only the account knows of it, and the errors of checking it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from simulator.iam.policy import Need
from simulator.iam.reach import Place

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One API call. `service`: the name it is signed for; `parameters` in the wire's spelling."""

    service: str
    operation: str
    parameters: Parameters


class DeniedError(Exception):
    """Raised for a call without permission; the text is IAM's."""


class UncheckedCallError(Exception):
    """Raised for an operation without an entry here."""


class Known(Protocol):
    """What only the account knows."""

    def partition_key(self, table: str) -> str:
        """Return the name of a table's partition key; empty if there is no such table."""

    def tags(self, arn: str) -> Mapping[str, str]:
        """Return the tags of a SageMaker endpoint; none if it does not exist."""

    def lacks_object(self, bucket: str, key: str) -> bool:
        """Return whether a bucket exists and the object in it does not."""

    def trusted_by(self, role: str) -> Collection[str]:
        """Return the services that a role made by hand trusts; none if there is no such role."""

    def scalable_targets(self, endpoint: str) -> list[str]:
        """Return the ARNs of the scalable targets registered for an endpoint's variants."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call in its account, for the functions that find its permissions."""

    call: Call
    place: Place
    known: Known

    @property
    def parameters(self) -> Parameters:
        """The members of the call."""
        return self.call.parameters

    def arn(self, service: str, resource: str) -> str:
        """Return an ARN in the call's account and region."""
        return f"arn:aws:{service}:{self.place.region}:{self.place.account}:{resource}"


Needs = Iterator[Need]
"""The permissions that a call needs."""
