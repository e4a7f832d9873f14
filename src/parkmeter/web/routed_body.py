"""The endpoint that a request below `/v1` means: by its body's `model`, or by an id. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from parkmeter.errors import InvalidRequestError
from parkmeter.web.multipart import form_field, is_form
from parkmeter.web.problems import problem
from parkmeter.web.refusals import Refusal
from parkmeter.web.top_level import Member, top_level

_IDS = ("previous_response_id", "input_file_id")
"""Members whose value is an id that an endpoint gave."""

_NAMES = frozenset({"model", *_IDS})
_CHARSET = re.compile(rb';\s*charset\s*=\s*"?([^";\s]*)', re.IGNORECASE)
_UTF8 = frozenset({b"utf-8", b"utf8", b"us-ascii"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body asks for: its `model`, which stands at `begin` to `end`, or None; ids in it.

    `form`: it is a multipart form, else JSON.
    """

    model: str | None
    begin: int = 0
    end: int = 0
    ids: tuple[str, ...] = ()
    form: bool = False

    def renamed(self, model: str) -> bytes:
        """Return what is to stand in the place of `model` instead."""
        return model.encode() if self.form else json.dumps(model).encode()


def check_readable(named: Mapping[bytes, bytes]) -> None:
    """Reject a body that is compressed or not in UTF-8, by the header fields of its request.

    Raises:
        Refusal: its `model` cannot be read.

    """
    coding = named.get(b"content-encoding", b"").strip().lower()
    if coding not in {b"", b"identity"}:
        raise _unsupported("Send the body without Content-Encoding: its `model` has to be read.")
    charset = _CHARSET.search(named.get(b"content-type", b""))
    if charset is not None and charset[1].lower() not in _UTF8:
        raise _unsupported("Send the body in UTF-8: its `model` has to be read.")


def asked_in(body: bytes, content_type: bytes) -> Asked:
    """Return what a body asks for. JSON, whatever its type, but for multipart forms.

    Raises:
        InvalidRequestError: it can be read in two ways, or not at all.

    """
    if is_form(content_type):
        field = form_field(body, content_type, "model")
        return (
            Asked(None) if field is None else Asked(field.value, field.begin, field.end, form=True)
        )
    if not body:
        return Asked(None)
    found = top_level(body, _NAMES)
    model = found.get("model")
    if model is None:
        return Asked(None, ids=tuple(filter(None, (_text(found.get(name)) for name in _IDS))))
    if not isinstance(model.value, str):
        raise InvalidRequestError("`model` must be a string.", field="model")
    return Asked(model.value, model.begin, model.end)


def _text(member: Member | None) -> str | None:
    return member.value if member is not None and isinstance(member.value, str) else None


def _unsupported(detail: str) -> Refusal:
    return Refusal(problem(415, "media_type_not_supported", "This body cannot be read", detail))
