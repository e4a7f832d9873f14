"""IAM's decision: the statements of policies against one needed permission. Pure.

After the IAM user guide, "Policy evaluation logic", "IAM JSON policy elements: Condition operators"
and "Multivalued context keys". Identity-based policies only. Knows no service and no call.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

Context = Mapping[str, tuple[str, ...]]
"""The values of the condition keys that a request carries; names in any case."""


@dataclass(frozen=True, slots=True)
class Need:
    """A permission that a call needs: `action` on one `resource`, an ARN or `*` for none."""

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator with one key and the policy's values."""

    operator: str
    key: str
    values: tuple[str, ...]

    def holds(self, context: Context) -> bool:
        """Return whether the request satisfies it.

        Raises:
            NotImplementedError: the operator is not simulated, or a key with several values is
                compared without a set operator, which IAM leaves undefined.

        """
        quantifier, _, name = self.operator.rpartition(":")
        operator = name.removesuffix("IfExists")
        lower = self.key.lower()
        given = next((values for key, values in context.items() if key.lower() == lower), ())
        if operator == "Null":
            return (not given) == (self.values == ("true",))
        compare, negated = _operator(operator)

        def satisfies(value: str) -> bool:
            return any(compare(expected, value) for expected in self.values) is not negated

        match quantifier:
            case "ForAllValues":
                return all(map(satisfies, given))
            case "ForAnyValue":
                return any(map(satisfies, given))
            case "" if not given:
                return negated or name != operator
            case "" if len(given) == 1:
                return satisfies(given[0])
            case _:
                raise NotImplementedError(f"{self.operator} on {self.key} with {len(given)} values")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of an identity-based policy."""

    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Return the statement of a policy document.

        Raises:
            NotImplementedError: it has an element that is not simulated.

        """
        if unknown := document.keys() - {"Sid", "Effect", "Action", "Resource", "Condition"}:
            raise NotImplementedError(f"policy element {min(unknown)}")
        conditions = tuple(
            Condition(operator, key, _texts(values))
            for operator, keys in sorted(document.get("Condition", {}).items())
            for key, values in sorted(keys.items())
        )
        actions, resources = _texts(document["Action"]), _texts(document["Resource"])
        return cls(document["Effect"], actions, resources, conditions)

    def matching(self, need: Need) -> Iterator[tuple[str, str]]:
        """Yield the action and resource patterns by which the statement covers the need."""
        if all(condition.holds(need.context) for condition in self.conditions):
            for action in self.actions:
                # Actions are compared without regard to case, ARNs with it.
                if matches(action.lower(), need.action.lower()):
                    for resource in self.resources:
                        if matches(resource, need.resource):
                            yield action, resource


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision. `by`: the number of each statement that allows, with its action and resource."""

    allowed: bool
    by: tuple[tuple[int, str, str], ...] = ()
    explicitly: bool = False


def statements_of(document: Mapping[str, Any]) -> list[Statement]:
    """Return the statements of a policy document."""
    listed = document["Statement"]
    return [Statement.of(one) for one in (listed if isinstance(listed, list) else [listed])]


def decide(statements: Sequence[Statement], need: Need) -> Verdict:
    """Decide one need: an explicit denial wins, then any allowance; otherwise it is denied."""
    found = [
        (statement.effect, (number, action, resource))
        for number, statement in enumerate(statements)
        for action, resource in statement.matching(need)
    ]
    if any(effect == "Deny" for effect, _ in found):
        return Verdict(allowed=False, explicitly=True)
    return Verdict(allowed=bool(found), by=tuple(match for _, match in found))


def matches(pattern: str, value: str) -> bool:
    """Return whether a pattern with `*` and `?` covers the whole value, with regard to case."""
    return _compiled(pattern).fullmatch(value) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    wildcards = {"*": ".*", "?": "."}
    return re.compile("".join(wildcards.get(c) or re.escape(c) for c in pattern), re.DOTALL)


def _equal(expected: str, value: str) -> bool:
    return expected == value


def _equal_in_any_case(expected: str, value: str) -> bool:
    return expected.lower() == value.lower()


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": _equal,
    "StringEqualsIgnoreCase": _equal_in_any_case,
    "StringLike": matches,
    "ArnEquals": matches,
    "ArnLike": matches,
    "Bool": _equal_in_any_case,
}
_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def _operator(name: str) -> tuple[Callable[[str, str], bool], bool]:
    """Return the comparison of a policy's value with a request's, and whether it is negated."""
    compare = _OPERATORS.get(_NEGATED.get(name, name))
    if compare is None:
        raise NotImplementedError(f"condition operator {name}")
    return compare, name in _NEGATED


def _texts(value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    return tuple(
        ("true" if one else "false") if isinstance(one, bool) else str(one) for one in listed
    )
