"""The record of grants, of the calls that used them and of those that were denied.

Thread-safe. Knows policies as values; not where they come from.
"""

import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from simulator.iam.policy import Need, Statement
from simulator.iam.reach import Place, unreachable

_HASH = re.compile(r"[0-9A-F]{8}$")


def role_name(stack: str, logical_id: str) -> str:
    """Return the name of a role in the table: its stack, and its logical id without CDK's hash."""
    return f"{stack} {_HASH.sub('', logical_id)}"


@dataclass
class Ledger:
    """Grants by role and statement, and their uses."""

    _grants: dict[str, dict[Statement, set[tuple[str, str]]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    _denied: dict[tuple[str, str, str], int] = field(default_factory=lambda: defaultdict(int))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def granted(self, role: str, statements: Iterable[Statement]) -> None:
        """Record that a role has these statements."""
        with self._lock:
            for statement in statements:
                self._grants[role].setdefault(statement, set())

    def used(self, role: str, statement: Statement, action: str, resource: str) -> None:
        """Record that a statement has allowed a call."""
        with self._lock:
            self._grants[role].setdefault(statement, set()).add((action, resource))

    def denied(self, principal: str, need: Need) -> None:
        """Record a call without a grant."""
        with self._lock:
            self._denied[principal, need.action, need.resource] += 1

    def missing(self) -> list[str]:
        """Return the calls that no grant allowed."""
        with self._lock:
            return sorted(f"{who}: {action} on {on}" for who, action, on in self._denied)

    def unused(self) -> list[str]:
        """Return each action and each resource of a grant that allowed no call."""
        return sorted(self._unused())

    def unmatched(self, place: Place) -> list[str]:
        """Return what of the grants could never match."""
        return sorted(
            f"{role}: {reason}" for role, one in self.grants() for reason in unreachable(one, place)
        )

    def grants(self) -> list[tuple[str, Statement]]:
        """Return all statements that a role had, each with the role's name."""
        with self._lock:
            return [(role, one) for role, known in self._grants.items() for one in known]

    def _unused(self) -> Iterator[str]:
        with self._lock:
            for role, known in self._grants.items():
                for statement, used in known.items():
                    if statement.effect == "Deny":
                        continue
                    actions = {action for action, _ in used}
                    resources = {resource for _, resource in used}
                    for action in set(statement.actions) - actions:
                        yield f"{role}: {action} on {', '.join(statement.resources)}"
                    for resource in set(statement.resources) - resources if used else ():
                        yield f"{role}: {resource} by {', '.join(statement.actions)}"
