"""Model ids: which endpoint a `model` means, and how its own server calls it. Pure.

An id is, in this order: an endpoint's name, one of its `aliases`, one of its `models`, or an id
that its server listed when it was ready. The first three are unique in a configuration; a listed
id never takes one of them away, and two servers may list the same.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from parkmeter.errors import ParkmeterError
from parkmeter.web.routes import Route, Routes

MOST_LEARNED = 256
LONGEST_ID = 256
"""Bounds on what a server may list: ids, and characters of one."""

_SHOWN = 64
"""Most characters of an id that was asked for and that an error repeats."""

_LONGEST_PATH = 256

_NAMED = 20
"""Most endpoints that an error's sentence names; its data has all."""

Covers = Callable[[str], bool]
"""Whether a token covers an endpoint."""


class UnknownModelError(ParkmeterError):
    """Raised when a model is not known, or only to an endpoint that the token does not cover."""

    code = "model_not_found"
    title = "No such model"

    def __init__(self, model: str, covered: Iterable[str]) -> None:
        names = list(covered)
        super().__init__(
            f"There is no model {_short(model)!r} for this token. It may use: {_listed(names)}. "
            "GET /v1/models lists every id.",
            field="model",
            endpoints=names,
        )


class AmbiguousModelError(ParkmeterError):
    """Raised when several endpoints serve a model, and not exactly one of them is open."""

    code = "model_ambiguous"
    title = "More than one endpoint serves this model"

    def __init__(self, model: str, endpoints: Iterable[str]) -> None:
        names = list(endpoints)
        super().__init__(
            f"The endpoints {_listed(names)} all serve {_short(model)!r}. Send the name of one of "
            "them as `model`.",
            field="model",
            endpoints=names,
        )


class ModelNotNamedError(ParkmeterError):
    """Raised when nothing in a request below `/v1` says which endpoint it is for.

    `paths`: those that do.
    """

    code = "model_not_named"
    title = "The request names no model"

    def __init__(self, paths: Iterable[str]) -> None:
        found = [path[:_LONGEST_PATH] for path in paths]
        super().__init__(
            "Nothing in this request says which endpoint it is for. Send a `model` in its body, or "
            f"send it to the endpoint itself: {_listed(found)}.",
            field="model",
            paths=found,
        )


class Destination(NamedTuple):
    """The endpoint that an id means. `served`: its server knows the id itself."""

    endpoint: str
    served: bool


class ModelIds:
    """The ids of all endpoints; immutable. `learned`: those that each server listed."""

    def __init__(
        self, routes: Iterable[Route] = (), learned: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        known = tuple(routes)
        self._names = tuple(route.name for route in known)
        self._explicit: dict[str, str] = {}
        self._served: dict[str, dict[str, None]] = {}
        self._configured: dict[str, tuple[str, ...]] = {}
        self._learned: dict[str, tuple[str, ...]] = {}
        for kind in (
            ((r.name,) for r in known),
            (r.aliases for r in known),
            (r.models for r in known),
        ):
            for route, ids in zip(known, kind, strict=True):
                for id_ in ids:
                    self._explicit.setdefault(id_, route.name)
        for route in known:
            listed = (learned or {}).get(route.name, ())
            self._served[route.name] = dict.fromkeys((*route.models, *listed))
            self._configured[route.name] = tuple(
                dict.fromkeys((route.name, *route.aliases, *route.models))
            )
            for id_ in listed:
                if id_ not in self._explicit:
                    self._learned[id_] = (*self._learned.get(id_, ()), route.name)

        self._destinations = {
            id_: Destination(name, id_ in self._served[name])
            for id_, name in self._explicit.items()
        }

    def find(self, id_: str, covers: Covers, is_open: Covers) -> Destination:
        """Return the endpoint that an id means to a token that `covers` some of them.

        `is_open`: whether the meter of an endpoint holds time; asked where several serve the id.

        Raises:
            UnknownModelError: there is none, or the token does not cover it.
            AmbiguousModelError: there are several, and not just one is open.

        """
        found = self._destinations.get(id_)
        if found is not None:
            if covers(found.endpoint):
                return found
            raise UnknownModelError(id_, self.covered(covers))
        serving = [name for name in self._learned.get(id_, ()) if covers(name)]
        if not serving:
            raise UnknownModelError(id_, self.covered(covers))
        if len(serving) > 1:
            serving_now = [name for name in serving if is_open(name)]
            if len(serving_now) != 1:
                raise AmbiguousModelError(id_, serving)
            serving = serving_now
        return Destination(serving[0], served=True)

    def served_id(self, endpoint: str) -> str | None:
        """Return the id by which an endpoint's own server knows its model; None if unknown."""
        return next(iter(self._served.get(endpoint, ())), None)

    def at_server(self, endpoint: str) -> tuple[str, ...]:
        """Return the ids that an endpoint's own server knows, or its name while none is known."""
        return tuple(self._served.get(endpoint, ())) or (endpoint,)

    def covered(self, covers: Covers) -> list[str]:
        """Return the endpoints that a token covers."""
        return [name for name in self._names if covers(name)]

    def listed(self, covers: Covers, is_open: Covers) -> list[tuple[str, str]]:
        """Return every id that a token may use, once, with its endpoint.

        One that several endpoints serve stands with the open one, or with the first of them.
        """
        found: list[tuple[str, str]] = []
        for name in self.covered(covers):
            found += [(id_, name) for id_ in self._configured[name]]
        for id_, names in self._learned.items():
            serving = [name for name in names if covers(name)]
            if serving:
                found.append((id_, next(filter(is_open, serving), serving[0])))
        return found


class LearnedIds:
    """The ids that servers listed, by endpoint; on every change replaced as a whole.

    They outlive a run and a change of the configuration: a closed endpoint is asked for by the same
    ids as an open one.
    """

    def __init__(self) -> None:
        self._learned: Mapping[str, tuple[str, ...]] = {}
        self._made: tuple[object, object, ModelIds] = (None, None, ModelIds())

    def learn(self, endpoint: str, ids: tuple[str, ...]) -> None:
        """Take the ids that an endpoint's server has listed. Not from two threads."""
        self._learned = {**self._learned, endpoint: ids}

    def ids(self, routes: Routes) -> ModelIds:
        """Return the ids of all endpoints, with those learned; from any thread."""
        learned, (made_of, with_learned, ids) = self._learned, self._made
        if made_of is not routes or with_learned is not learned:
            ids = ModelIds(routes.all, learned)
            self._made = (routes, learned, ids)
        return ids


class _Model(msgspec.Struct):
    id: Any = None


class _List(msgspec.Struct):
    data: list[_Model]


_lists = msgspec.json.Decoder(_List)


def listed_ids(body: bytes) -> tuple[str, ...]:
    """Return the ids in a model server's answer to `GET /v1/models`, within the bounds."""
    try:
        models = _lists.decode(body).data
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ()
    ids = dict.fromkeys(model.id for model in models[:MOST_LEARNED] if _is_id(model.id))
    return tuple(ids)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_ID and value.isprintable()


def _short(model: str) -> str:
    return model if len(model) <= _SHOWN else model[: _SHOWN - 1] + "…"


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED]) or "no endpoint"
    return f"{shown} and {more} more" if more > 0 else shown
