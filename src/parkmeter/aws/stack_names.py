"""Names of stacks, as `stacks/names.py` gives them. Imports nothing: functions read it too."""

DEFAULT_PREFIX = "parkmeter"
"""The same as in `stacks/names.py`: with it, stacks and tables have no prefix."""


def stack_of(prefix: str, stack_id: str) -> str:
    """Return a stack's name in CloudFormation (`stacks/names.py`)."""
    return stack_id if prefix == DEFAULT_PREFIX else f"{prefix}-{stack_id}"


def title_of(endpoint: str) -> str:
    """Return the beginning of the names of an endpoint's stacks (`stacks/endpoint.py`)."""
    return "".join(part.capitalize() for part in endpoint.split("-"))
