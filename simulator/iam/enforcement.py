"""The roles of the deployed stacks, held against every call that bears their credentials.

A function, a container or the API gets an access key of its role; a request with it is decided by
the role's policies as they are deployed at that moment. The operator's own credentials may do
everything, and so may roles that no stack has made. All uses are recorded, for the table of grants.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.cloudformation.stacks import Resource
from simulator.iam.call import Call, DeniedError, Known, UncheckedCallError
from simulator.iam.calls import needs
from simulator.iam.ledger import Ledger, role_name
from simulator.iam.policy import Need, Statement, decide, matches, statements_of
from simulator.iam.reach import Place

_ROLE = "AWS::IAM::Role"
_POLICY = "AWS::IAM::Policy"
_PERMISSION = "AWS::Lambda::Permission"


@dataclass(frozen=True, slots=True)
class Session:
    """A role that a service has assumed."""

    role: str
    name: str

    @property
    def principal(self) -> str:
        """The ARN under which its calls are made."""
        arn = self.role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
        return f"{arn}/{self.name}"


@dataclass(frozen=True, slots=True)
class _Role:
    name: str
    trusts: frozenset[str]
    statements: tuple[Statement, ...]
    source: tuple[Resource, ...]


class Iam:
    """The policies in force. Thread-safe.

    `resources` returns all deployed resources, each with its stack; `known` is the rest of the
    account.
    """

    def __init__(
        self, resources: Callable[[], Iterable[tuple[str, Resource]]], place: Place, known: Known
    ) -> None:
        self._resources = resources
        self._place = place
        self._known = known
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._roles: dict[str, _Role] = {}
        self.ledger = Ledger()

    def session(self, role: str, name: str) -> str:
        """Return the access key for a role's session of this name; the same each time."""
        digest = hashlib.sha256(f"{role}/{name}".encode()).hexdigest()
        key = f"ASIA{digest[:16].upper()}"
        with self._lock:
            self._sessions[key] = Session(role, name)
        return key

    def knows(self, access_key: str) -> bool:
        """Return whether a key is that of a role's session."""
        with self._lock:
            return access_key in self._sessions

    def may_assume(self, service: str, role: str) -> bool:
        """Return whether a service such as `sagemaker.amazonaws.com` may assume the role."""
        found = self._role(role)
        return service in (self._known.trusted_by(role) if found is None else found.trusts)

    def check(self, access_key: str, call: Call) -> None:
        """Do nothing if the call is permitted, or not made by a role.

        Raises:
            DeniedError: it is not.

        """
        with self._lock:
            session = self._sessions.get(access_key)
        if session is not None:
            self._check(session, call)

    def permits(self, role: str, name: str, call: Call) -> bool:
        """Return whether a role's session may make this call; recorded as if it were made."""
        try:
            self._check(Session(role, name), call)
        except DeniedError:
            return False
        return True

    def lets_invoke(self, service: str, source: str, function: str) -> bool:
        """Return whether a function's own policy lets a service invoke it for a source's ARN."""
        name = function.rpartition(":")[2]
        return any(
            one.properties["Principal"] == service
            and str(one.properties["FunctionName"]).rpartition(":")[2] == name
            and matches(one.properties.get("SourceArn", "*"), source)
            for _, one in self._resources()
            if one.kind == _PERMISSION
        )

    def unchecked(self, access_key: str, call: UncheckedCallError) -> None:
        """Record a role's request that is in no table."""
        with self._lock:
            session = self._sessions[access_key]
        self.ledger.denied(session.principal, Need(str(call)))

    def observe_roles(self) -> None:
        """Enter the grants of all deployed roles into the ledger, used or not."""
        for stack, resource in self._resources():
            if resource.kind == _ROLE:
                self._read(stack, resource)

    # ── Internal ────────────────────────────────────────────────────────────────────────────────

    def _check(self, session: Session, call: Call) -> None:
        role = self._role(session.role)
        if role is None:
            return  # made by hand, or destroyed while a function of it still ran
        try:
            found = needs(call, self._place, self._known)
        except UncheckedCallError as unknown:
            self.ledger.denied(session.principal, Need(str(unknown)))
            raise DeniedError(str(unknown)) from None
        for need in found:
            self._decide(session, role, need)

    def _decide(self, session: Session, role: _Role, need: Need) -> None:
        verdict = decide(role.statements, need)
        if verdict.allowed:
            for number, action, resource in verdict.by:
                self.ledger.used(role.name, role.statements[number], action, resource)
            return
        self.ledger.denied(session.principal, need)
        why = (
            "with an explicit deny in an identity-based policy"
            if verdict.explicitly
            else f"because no identity-based policy allows the {need.action} action"
        )
        raise DeniedError(
            f"User: {session.principal} is not authorized to perform: {need.action} on resource: "
            f"{need.resource} {why}"
        )

    def _role(self, arn: str) -> _Role | None:
        for stack, resource in self._resources():
            if resource.kind == _ROLE and _arn(resource) == arn:
                return self._read(stack, resource)
        return None

    def _read(self, stack: str, resource: Resource) -> _Role:
        """Return a role as it is now, with the policies that name it."""
        arn = _arn(resource)
        policies = [
            one
            for _, one in self._resources()
            if one.kind == _POLICY and resource.physical_id in one.properties.get("Roles", ())
        ]
        source = (resource, *policies)
        with self._lock:
            role = self._roles.get(arn)
            if role is None or role.source != source:
                role = self._roles[arn] = _parsed(stack, resource, policies)
                self.ledger.granted(role.name, role.statements)
        return role


def _arn(resource: Resource) -> str:
    arn: str = resource.created.get_cfn_attribute("Arn")
    return arn


def _parsed(stack: str, resource: Resource, policies: Sequence[Resource]) -> _Role:
    properties = resource.properties
    if "ManagedPolicyArns" in properties or "PermissionsBoundary" in properties:
        raise NotImplementedError(f"managed policies of {resource.physical_id}")
    documents = [one["PolicyDocument"] for one in properties.get("Policies", ())]
    documents += [one.properties["PolicyDocument"] for one in policies]
    statements = tuple(one for document in documents for one in statements_of(document))
    name = role_name(stack, resource.created.logical_resource_id)
    return _Role(
        name, frozenset(trusted_in(properties["AssumeRolePolicyDocument"])), statements, resource
    )


def trusted_in(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the services that a trust policy names."""
    for statement in document.get("Statement", ()):
        services = statement["Principal"].get("Service", [])
        yield from [services] if isinstance(services, str) else services
