"""The table of grants as a page: each statement of each role, as the templates have it.

Account and region are left out, so that the page is the same wherever it is written.
"""

from collections.abc import Iterable

from simulator.iam.policy import Condition, Statement
from simulator.iam.reach import Place

Grant = tuple[str, Statement]
"""A role's name and one of its statements."""


def table(grants: Iterable[Grant], place: Place) -> str:
    """Return the rows of a Markdown table, in the order of roles and actions."""
    rows = sorted(_row(role, statement, place) for role, statement in grants)
    return "\n".join(["| role | may | on | if |", "|---|---|---|---|", *dict.fromkeys(rows), ""])


def _row(role: str, statement: Statement, place: Place) -> str:
    actions = " ".join(f"`{action}`" for action in statement.actions)
    resources = " ".join(f"`{_short(one, place)}`" for one in statement.resources)
    conditions = "; ".join(_words(one, place) for one in statement.conditions)
    return f"| {role} | {actions} | {resources} | {conditions} |"


def _words(condition: Condition, place: Place) -> str:
    values = " ".join(f"`{_short(one, place)}`" for one in condition.values)
    return f"{condition.operator} `{condition.key}` {values}"


def _short(text: str, place: Place) -> str:
    """Return an ARN's service and resource, without account and region; other text as it is."""
    if text.startswith("arn:"):
        _, _, service, _, _, resource = text.split(":", 5)
        text = f"{service}:{resource}"
    return text.replace(place.account, "ACCOUNT").replace(place.region, "REGION")
