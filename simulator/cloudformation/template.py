"""What a CloudFormation template says about order. Knows references, and no kind of resource."""

import re
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Any

_SUBSTITUTED = re.compile(r"\$\{([A-Za-z0-9]+)(?:\.[^}]*)?\}")


def in_order(resources: Mapping[str, Any]) -> list[str]:
    """The logical ids, each after all that it names; CloudFormation deletes the other way round.

    Raises:
        graphlib.CycleError: they need each other.

    """
    needs = {name: sorted(_needs(said) & resources.keys()) for name, said in resources.items()}
    return list(TopologicalSorter(needs).static_order())


def _needs(resource: Mapping[str, Any]) -> set[str]:
    given = resource.get("DependsOn", [])
    return {given} if isinstance(given, str) else {*given, *_named(resource.get("Properties", {}))}


def _named(value: Any) -> Iterator[str]:
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case {"Fn::Sub": str(text)}:
            yield from _SUBSTITUTED.findall(text)
        case {"Fn::Sub": [str(text), inner]}:
            yield from _SUBSTITUTED.findall(text)
            yield from _named(inner)
        case dict():
            for item in value.values():
                yield from _named(item)
        case list():
            for item in value:
                yield from _named(item)
