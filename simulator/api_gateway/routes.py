"""The paths and methods of a REST API, and which of them a request is for.

Matched as API Gateway does: the most literal path that fits as a whole wins, `{name}` takes one
part, `{name+}` all that remain. Knows no function and no token.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from simulator.cloudformation.stacks import Resource


@dataclass
class Path:
    """One resource of the API. `path` as in its events: `/endpoints/{name}`."""

    path: str
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)
    below: dict[str, "Path"] = field(default_factory=dict)

    def method(self, name: str) -> dict[str, Any] | None:
        """The properties of the method that answers this one."""
        return self.methods.get(name) or self.methods.get("ANY")


@dataclass(frozen=True, slots=True)
class Found:
    """The resource that a request is for, and what its path says besides."""

    resource: Path
    parameters: dict[str, str]


def tree(api_id: str, resources: list[Resource]) -> Path:
    """The root of the API, from the resources of the stacks."""
    ours = [r for r in resources if r.properties.get("RestApiId") == api_id]
    root = Path("/")
    known = {}
    waiting = [r for r in ours if r.kind == "AWS::ApiGateway::Resource"]
    parents = {r.physical_id for r in waiting}
    while waiting:
        resource = waiting.pop(0)
        parent_id, part = resource.properties["ParentId"], resource.properties["PathPart"]
        if parent_id in parents and parent_id not in known:
            waiting.append(resource)
            continue
        parent = known.get(parent_id, root)
        made = Path(f"{parent.path.rstrip('/')}/{part}")
        parent.below[part] = known[resource.physical_id] = made
    for method in ours:
        if method.kind == "AWS::ApiGateway::Method":
            at = known.get(method.properties["ResourceId"], root)
            at.methods[method.properties["HttpMethod"]] = method.properties
    return root


def find(root: Path, path: str) -> Found | None:
    """The resource for a path below the stage; None if there is none."""
    return _find(root, [part for part in path.split("/") if part])


def _find(at: Path, parts: list[str]) -> Found | None:
    if not parts:
        return Found(at, {}) if at.methods else None
    part, rest = parts[0], parts[1:]
    if part in at.below and (found := _find(at.below[part], rest)):
        return found
    for name, below in at.below.items():
        if name.startswith("{") and not name.endswith("+}") and (found := _find(below, rest)):
            return Found(found.resource, {name[1:-1]: unquote(part), **found.parameters})
    for name, below in at.below.items():
        if name.endswith("+}"):
            return Found(below, {name[1:-2]: unquote("/".join(parts))})
    return None
