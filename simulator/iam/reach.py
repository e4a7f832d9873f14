"""The grants that can never match a call, found from policies alone. Pure.

A statement is held against the facts of `actions`: whether each action can meet one of its
resources, each resource one of its actions, and whether the actions carry the keys of its
conditions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from simulator.iam.actions import ACTIONS, GLOBAL_KEYS, Action
from simulator.iam.policy import Statement, matches


@dataclass(frozen=True, slots=True)
class Place:
    """An account in a region."""

    account: str
    region: str


def unreachable(statement: Statement, place: Place) -> Iterator[str]:
    """Yield what of a statement can never match, with the reason."""
    known = {name: ACTIONS[name] for name in statement.actions if name in ACTIONS}
    for name in statement.actions:
        if name not in known:
            yield f"{name}: not in simulator/iam/actions.py"
        elif not any(_meets(known[name], one, place) for one in statement.resources):
            yield f"{name}: is never checked against {' or '.join(statement.resources)}"
    for resource in statement.resources:
        if known and not any(_meets(one, resource, place) for one in known.values()):
            yield f"{resource}: no ARN of {' or '.join(known)}"
    for condition in statement.conditions:
        for name, action in known.items():
            carried = action.keys | GLOBAL_KEYS
            if not any(matches(key.lower(), condition.key.lower()) for key in carried):
                yield f"{name}: does not carry {condition.key}"


def _meets(action: Action, resource: str, place: Place) -> bool:
    if action.lower and resource != resource.lower():
        return False
    forms = (form.format(account=place.account, region=place.region) for form in action.forms)
    return any(overlap(form, resource) for form in forms)


def overlap(one: str, other: str) -> bool:
    """Return whether some text matches both patterns.

    In both `*` stands for any text and `?` for any character; in `one` also `+` for any text
    without a slash or a colon.
    """
    # reached[j]: the pattern `one` up to here and `other[:j]` have a common text.
    reached = [True, *(False for _ in other)]
    for j, char in enumerate(other):
        reached[j + 1] = reached[j] and char == "*"
    for mine in one:
        following = [reached[0] and mine in "*+"]
        for j, theirs in enumerate(other):
            if mine == "+" and theirs != "*":
                following.append(reached[j + 1] or (following[j] and theirs not in "/:"))
            elif mine == "+" or "*" in (mine, theirs):  # for nothing, or one character more
                following.append(reached[j + 1] or following[j])
            else:
                following.append(reached[j] and (mine == theirs or "?" in (mine, theirs)))
        reached = following
    return reached[-1]
