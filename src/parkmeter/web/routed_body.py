"""The endpoint that a request below `/v1` means: by its body's `model`, or by an id. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from parkmeter.errors import InvalidRequestError
from parkmeter.web.multipart import Field, form_field, is_form
from parkmeter.web.problems import problem
from parkmeter.web.refusals import Refusal
from parkmeter.web.top_level import TopLevel

_IDS = ("previous_response_id", "input_file_id")
"""Members whose value is an id that an endpoint gave."""

_CHARSET = re.compile(rb';\s*charset\s*=\s*"?([^";\s]*)', re.IGNORECASE)
_UTF8 = frozenset({b"utf-8", b"utf8", b"us-ascii"})


class Asked(NamedTuple):
    """What a body asks for: its `model`, or None; `ids` in a body without.

    `model` is a member of `members`, or of a multipart form the `field`.
    """

    model: str | None = None
    members: TopLevel | None = None
    field: Field | None = None
    ids: tuple[str, ...] = ()

    def renamed(self, model: str) -> tuple[int, int, bytes]:
        """Return the place of `model` in the body, and what is to stand there instead."""
        if self.field is not None:
            return self.field.begin, self.field.end, model.encode()
        assert self.members is not None  # noqa: S101 (there is a model)
        return *self.members.place("model"), _quoted(model)


NOTHING = Asked()


def form_type_of(named: Mapping[bytes, bytes]) -> bytes:
    """Return the Content-Type of a multipart form, empty for any other body.

    Raises:
        Refusal: by its header fields it is compressed, or not in UTF-8: it cannot be read.

    """
    coding = named.get(b"content-encoding", b"").strip().lower()
    if coding not in {b"", b"identity"}:
        raise _unsupported("Send the body without Content-Encoding: its `model` has to be read.")
    content_type = named.get(b"content-type", b"")
    charset = _CHARSET.search(content_type)
    if charset is not None and charset[1].lower() not in _UTF8:
        raise _unsupported("Send the body in UTF-8: its `model` has to be read.")
    return content_type if is_form(content_type) else b""


def asked_in(body: bytes, form_type: bytes) -> Asked:
    """Return what a body asks for: a form of this type, or JSON where that is empty.

    Raises:
        InvalidRequestError: it can be read in two ways, or not at all.

    """
    if form_type:
        field = form_field(body, form_type, "model")
        return NOTHING if field is None else Asked(field.value, field=field)
    if not body:
        return NOTHING
    members = TopLevel(body)
    if "model" not in members.names:
        return Asked(ids=tuple(_ids_in(members)))
    model = members.value("model")
    if not isinstance(model, str):
        raise InvalidRequestError("`model` must be a string.", field="model")
    return Asked(model, members)


def _ids_in(members: TopLevel) -> Iterator[str]:
    for name in _IDS:
        if name in members.names and isinstance(id_ := members.value(name), str) and id_:
            yield id_


@lru_cache(maxsize=256)
def _quoted(model: str) -> bytes:
    return json.dumps(model).encode()


def _unsupported(detail: str) -> Refusal:
    return Refusal(problem(415, "media_type_not_supported", "This body cannot be read", detail))
