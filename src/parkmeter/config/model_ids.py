"""`aliases` and `models` of endpoints: the ids by which clients ask for a model below `/v1`."""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Protocol

from pydantic import AfterValidator, Field

_LONGEST = 256
"""Characters, as of the ids that servers list."""


def _printable(id_: str) -> str:
    if not id_.isprintable() or id_ != id_.strip():
        raise ValueError("must be printable, without blanks at its ends")
    return id_


ModelIdTexts = tuple[
    Annotated[str, Field(min_length=1, max_length=_LONGEST), AfterValidator(_printable)], ...
]


class HasIds(Protocol):
    """The part of an endpoint's settings that is read here."""

    @property
    def aliases(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def models(self) -> tuple[str, ...]: ...  # noqa: D102


def repeated_ids(
    name: str, endpoints: Mapping[str, HasIds], taken: dict[str, str]
) -> Iterator[tuple[tuple[str, ...], str, object]]:
    """Yield a mistake for each id of an endpoint that means something else already.

    `taken`: the ids of the endpoints before it, with their endpoint; those of this one are added.
    """
    endpoint = endpoints[name]
    for key, ids in (("aliases", endpoint.aliases), ("models", endpoint.models)):
        for id_ in ids:
            if mistake := _mistake(id_, name, endpoints, taken):
                yield ("endpoints", name, key), mistake, id_
            taken.setdefault(id_, name)


def _mistake(id_: str, name: str, endpoints: Collection[str], taken: Mapping[str, str]) -> str:
    """Return the reason why this id cannot be one of this endpoint, or an empty text."""
    if id_ in endpoints and id_ != name:
        return f"{id_!r} is the name of another endpoint; choose another id"
    owner = taken.get(id_)
    if owner == name:
        return f"{id_!r} stands here twice; remove one"
    if owner is not None:
        return f"{id_!r} is an id of endpoint {owner!r} already; remove it from one of them"
    return ""
