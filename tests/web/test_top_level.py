"""Reading a JSON object's top-level members out of bytes."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkmeter.errors import InvalidRequestError
from parkmeter.web.top_level import LONGEST_NAME, MOST_MEMBERS, Container, TopLevel, values_of


def at(body: bytes, name: str) -> bytes:
    """Return the text of the value of this member."""
    begin, end = TopLevel(body).place(name)
    return body[begin:end]


def test_only_wanted_members_are_decoded_with_their_places() -> None:
    body = b' {"stream": true, "messages":[{"model": "not this"}], "model" : "m\\u00e9" , "n":7.5}'
    found = values_of(body, {"model", "stream", "messages", "n", "missing"})
    assert found == {
        "stream": True,
        "messages": Container.ARRAY,
        "model": "mé",
        "n": 7.5,
    }
    assert {name: at(body, name) for name in found} == {
        "stream": b"true",
        "messages": b'[{"model": "not this"}]',
        "model": b'"m\\u00e9"',
        "n": b"7.5",
    }


@pytest.mark.parametrize("spelled", ["model", "mod\\u0065l", "\\u006d\\u006f\\u0064\\u0065\\u006c"])
def test_a_name_counts_however_it_is_spelled(spelled: str) -> None:
    body = f'{{"{spelled}":"a"}}'.encode()
    assert (values_of(body, {"model"}), at(body, "model")) == ({"model": "a"}, b'"a"')


@pytest.mark.parametrize("second", ["model", "mod\\u0065l"])
def test_a_wanted_name_may_stand_once_only(second: str) -> None:
    body = f'{{"model":"a","{second}":"a"}}'.encode()
    with pytest.raises(InvalidRequestError, match="more than once") as caught:
        values_of(body, {"model"})
    assert caught.value.data == {"field": "model"}
    assert not values_of(body, {"stream"}), "another name may, it is the model server's business"


@pytest.mark.parametrize("number", ["1e999", "-1.5e400", "1" * 5000])
def test_a_number_out_of_range_is_refused_where_it_is_wanted(number: str) -> None:
    body = f'{{"stream":{number}}}'.encode()
    with pytest.raises(InvalidRequestError, match="out of range"):
        values_of(body, {"stream"})
    assert not values_of(body, {"model"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"model"',
        b'{"model":"a"',
        b'{"model":"a"}{"model":"b"}',
        b'{"model":"a",}',
        b'{"model":"a" "b":1}',
        b"{'model':'a'}",
        b'{"model":"a"}//',
        b'\xef\xbb\xbf{"model":"a"}',
        b'{"x":NaN,"model":"a"}',
        b'{"model":"a","x":"\x01"}',
        b'{"model":"\\ud800"}',
        b'{"model":"a","x":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        '{"model":"a"}'.encode("utf-16"),
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        values_of(body, {"model"})


@pytest.mark.parametrize("broken", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80"])
@pytest.mark.parametrize("template", [b'{"model":"%b"}', b'{"model":"a","x":"%b"}', b'{"%b":1}'])
def test_what_is_not_utf8_is_refused_wherever_it_stands(template: bytes, broken: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        values_of(template % broken, {"model"})


def test_an_unusually_large_top_level_is_refused_without_being_built() -> None:
    many = b"{" + b",".join(b'"%d":0' % number for number in range(MOST_MEMBERS + 1)) + b"}"
    more = many.replace(b"0,", b"0" + b" " * 99 + b",")
    long = b'{"%b":0}' % (b"x" * (LONGEST_NAME + 1))
    longer = long + b" " * 100_000
    for body in (many, more, long, longer):
        with pytest.raises(InvalidRequestError, match="top level"):
            values_of(body, {"model"})


_NAMES = st.sampled_from(["model", "stream", "x", "messages", 'a"b', "a\\", "ü", ""])
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(
    st.lists(st.tuples(_NAMES, _VALUES), max_size=6),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n\t", " :\r\n ")]),
    st.booleans(),
)
def test_it_reads_what_json_reads(
    pairs: list[tuple[str, object]],
    separators: tuple[str, str],
    escaped: bool,  # noqa: FBT001
) -> None:
    """Against `json.loads`, on objects that may have a name twice."""

    def text(value: object) -> str:
        return json.dumps(value, separators=separators, ensure_ascii=escaped)

    members = [f"{text(name)}{separators[1]}{text(value)}" for name, value in pairs]
    body = f" {{ {separators[0].join(members)} }}\n".encode()
    names = [name for name, _ in pairs]
    wanted = {"model", "stream", "ü", 'a"b'}
    if any(names.count(name) > 1 for name in wanted):
        with pytest.raises(InvalidRequestError, match="more than once"):
            values_of(body, wanted)
        return
    found = values_of(body, wanted)
    assert found.keys() == wanted & set(names)
    for name, value in json.loads(body).items():
        if name not in wanted:
            continue
        assert json.loads(at(body, name)) == value
        if isinstance(value, list | dict):
            assert found[name] is Container[{list: "ARRAY", dict: "OBJECT"}[type(value)]]
        else:
            assert found[name] == value
            assert type(found[name]) in {type(value), float}


@given(st.binary(max_size=60) | st.text('{}[]",:\\model01 u65', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        found = values_of(body, {"model"})
    except InvalidRequestError:
        return
    document = json.loads(body)
    assert isinstance(document, dict)
    assert found.keys() == document.keys() & {"model"}


def test_a_large_body_is_not_built() -> None:
    """Ten million brackets would be 800 MB as lists."""
    body = b'{"x":[' + b"[]," * 300_000 + b'[]],"model":"a"}'
    before = sys.getallocatedblocks()
    assert values_of(body, {"model"}) == {"model": "a"}
    assert sys.getallocatedblocks() - before < 1_000
