"""The paths and methods of a REST API, and the match of a request to them.

Matched as API Gateway does: the most literal path that matches as a whole wins, `{name}` takes one
segment, `{name+}` all that remain. Knows no function and no token.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from simulator.cloudformation.stacks import Resource


@dataclass
class Path:
    """One resource of the API, with `path` as in its events: `/endpoints/{name}`."""

    path: str
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)
    below: dict[str, "Path"] = field(default_factory=dict)

    def method(self, name: str) -> dict[str, Any] | None:
        """Return the properties of this method, or of ANY; None if there is neither."""
        return self.methods.get(name) or self.methods.get("ANY")


@dataclass(frozen=True, slots=True)
class Match:
    """The resource that a request matches, and its path parameters."""

    resource: Path
    parameters: dict[str, str]


def tree(api_id: str, resources: list[Resource]) -> Path:
    """Return the root of the API, built from the resources of the stacks."""
    own = [r for r in resources if r.properties.get("RestApiId") == api_id]
    root = Path("/")
    known = {}
    pending = [r for r in own if r.kind == "AWS::ApiGateway::Resource"]
    parents = {r.physical_id for r in pending}
    while pending:
        resource = pending.pop(0)
        parent_id, segment = resource.properties["ParentId"], resource.properties["PathPart"]
        if parent_id in parents and parent_id not in known:
            pending.append(resource)
            continue
        parent = known.get(parent_id, root)
        child = Path(f"{parent.path.rstrip('/')}/{segment}")
        parent.below[segment] = known[resource.physical_id] = child
    for method in own:
        if method.kind == "AWS::ApiGateway::Method":
            node = known.get(method.properties["ResourceId"], root)
            node.methods[method.properties["HttpMethod"]] = method.properties
    return root


def find(root: Path, path: str) -> Match | None:
    """Return the match for a path relative to the stage; None if there is none."""
    return _find(root, [segment for segment in path.split("/") if segment])


def _find(node: Path, segments: list[str]) -> Match | None:
    if not segments:
        return Match(node, {}) if node.methods else None
    segment, rest = segments[0], segments[1:]
    if segment in node.below and (found := _find(node.below[segment], rest)):
        return found
    for name, below in node.below.items():
        if name.startswith("{") and not name.endswith("+}") and (found := _find(below, rest)):
            return Match(found.resource, {name[1:-1]: unquote(segment), **found.parameters})
    for name, below in node.below.items():
        if name.endswith("+}"):
            return Match(below, {name[1:-2]: unquote("/".join(segments))})
    return None
