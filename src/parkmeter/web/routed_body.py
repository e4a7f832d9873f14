"""The endpoint that a request below `/v1` means: by its body's `model`, or by an id. Pure."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from parkmeter.errors import InvalidRequestError
from parkmeter.web.multipart import Field, form_field, is_form
from parkmeter.web.problems import problem
from parkmeter.web.refusals import Refusal
from parkmeter.web.top_level import Member, top_level

_IDS = ("previous_response_id", "input_file_id")
"""Members whose value is an id that an endpoint gave."""

_NAMES = frozenset({"model", *_IDS})
_CHARSET = re.compile(rb';\s*charset\s*=\s*"?([^";\s]*)', re.IGNORECASE)
_UTF8 = frozenset({b"utf-8", b"utf8", b"us-ascii"})


class Asked(NamedTuple):
    """What a body asks for: its `model` or None, and where that stands; ids in a body without."""

    model: str | None
    member: Member | Field | None = None
    ids: tuple[str, ...] = ()

    def renamed(self, model: str) -> tuple[int, int, bytes]:
        """Return the place of `model` in the body, and what is to stand there instead."""
        match self.member:
            case Field(_, begin, end):
                return begin, end, model.encode()
            case Member():
                return *self.member.place(), _quoted(model)
            case None:
                return 0, 0, b""


NOTHING = Asked(None)


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
        return NOTHING if field is None else Asked(field.value, field)
    if not body:
        return NOTHING
    found = top_level(body, _NAMES)
    model = found.get("model")
    if model is None:
        return Asked(None, ids=tuple(filter(None, (_text(found.get(name)) for name in _IDS))))
    if not isinstance(model.value, str):
        raise InvalidRequestError("`model` must be a string.", field="model")
    return Asked(model.value, model)


@lru_cache(maxsize=256)
def _quoted(model: str) -> bytes:
    return json.dumps(model).encode()


def _text(member: Member | None) -> str | None:
    return member.value if member is not None and isinstance(member.value, str) else None


def _unsupported(detail: str) -> Refusal:
    return Refusal(problem(415, "media_type_not_supported", "This body cannot be read", detail))
