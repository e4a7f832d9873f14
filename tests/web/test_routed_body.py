"""The `model` of a body, short ones and long ones alike."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkmeter.errors import InvalidRequestError
from parkmeter.web import top_level
from parkmeter.web.refusals import Refusal
from parkmeter.web.routed_body import asked_in, form_type_of


def _object(pairs: list[tuple[str, str]]) -> str:
    return "{" + ", ".join(f'"{name}" : {value}' for name, value in pairs) + "}"


_NAMES = st.sampled_from(["model", "mod\\u0065l", "x", "model ", 'a"model', "input_file_id"])
_VALUES = st.recursive(
    st.sampled_from(['"model"', '"m"', '"\\u006d"', '"q\\"model\\":"', "1", "null", '"é"', '""']),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda found: f"[{','.join(found)}]")
        | st.lists(st.tuples(_NAMES, inner), max_size=3).map(_object)
    ),
    max_leaves=6,
)


_BODIES = st.lists(st.tuples(_NAMES, _VALUES), max_size=4).map(
    lambda pairs: _object(pairs).encode()
)


Read = tuple[str | None, tuple[str, ...], int, int]


def read(body: bytes) -> Read:
    """Return the model of a body, its ids, and where the model stands."""
    asked = asked_in(body, b"")
    begin, end = (0, 0) if asked.model is None else asked.renamed("")[:2]
    return asked.model, asked.ids, begin, end


def outcome(body: bytes) -> Read | str:
    try:
        return read(body)
    except InvalidRequestError as error:
        return error.detail


@given(_BODIES | _BODIES.map(lambda body: body[:-1]) | _BODIES.map(lambda body: body + b"{}"))
def test_a_short_body_is_read_as_a_long_one_is(body):
    found = outcome(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top_level, "_SHORT", 0)
        assert outcome(body) == found
    if not isinstance(found, str) and found[0] is not None:
        model, _, begin, end = found
        assert json.loads(body[begin:end]) == model
        assert json.loads(body)["model"] == model


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (None, (), 0, 0)),
        (b"{}", (None, (), 0, 0)),
        (b'{"tools":[{"model":"x"}]}', (None, (), 0, 0)),
        (b'{"role":"model"}', (None, (), 0, 0)),
        (b'{"model":"q","role":"model"}', ("q", (), 9, 12)),
        (b'{"input_file_id":"f","previous_response_id":"r"}', (None, ("r", "f"), 0, 0)),
        (b'{"input_file_id":1}', (None, (), 0, 0)),
        (b'{"input_file_id":"f","model":"q","input_file_id":"g"}', ("q", (), 29, 32)),
    ],
)
def test_only_the_model_of_the_top_level_counts(body, expected):
    assert read(body) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {b"content-encoding": b"gzip"},
        {b"content-encoding": b"identity, br"},
        {b"content-type": b"application/json; charset=utf-16"},
        {b"content-type": b'application/json;a=b; Charset = "UTF-7"'},
    ],
)
def test_what_says_that_it_cannot_be_read_is_refused_unread(fields):
    with pytest.raises(Refusal):
        form_type_of(fields)


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        (b"", False),
        (b"application/json", False),
        (b'application/json; charset="utf-8"', False),
        (b"application/x-www-form-urlencoded", False),
        (b"multipart/form-data; boundary=x", True),
    ],
)
def test_the_type_says_whether_it_is_a_form(content_type, form):
    named = {b"content-encoding": b"Identity", b"content-type": content_type}
    assert form_type_of(named) == (content_type if form else b"")
