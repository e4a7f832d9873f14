"""The order of a template's resources, by their references. Knows no kind of resource."""

import re
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Any

_SUBSTITUTED = re.compile(r"\$\{([A-Za-z0-9]+)(?:\.[^}]*)?\}")


def in_order(resources: Mapping[str, Any]) -> list[str]:
    """Return the logical ids, each after its dependencies; deletion takes the reverse order.

    Raises:
        graphlib.CycleError: resources depend on each other.

    """
    dependencies = {
        name: sorted(_dependencies(resource) & resources.keys())
        for name, resource in resources.items()
    }
    return list(TopologicalSorter(dependencies).static_order())


def _dependencies(resource: Mapping[str, Any]) -> set[str]:
    named = resource.get("DependsOn", [])
    explicit = {named} if isinstance(named, str) else {*named}
    return {*explicit, *_references(resource.get("Properties", {}))}


def _references(value: Any) -> Iterator[str]:
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case {"Fn::Sub": str(text)}:
            yield from _SUBSTITUTED.findall(text)
        case {"Fn::Sub": [str(text), inner]}:
            yield from _SUBSTITUTED.findall(text)
            yield from _references(inner)
        case dict():
            for item in value.values():
                yield from _references(item)
        case list():
            for item in value:
                yield from _references(item)
