"""One field out of a multipart form."""

import time

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkmeter.errors import InvalidRequestError
from parkmeter.web.multipart import MOST_PARTS, Field, form_field, is_form

TYPE = b"multipart/form-data; boundary=xx"


def part(value: str = "m", *lines: str) -> str:
    head = "\r\n".join(lines or ('Content-Disposition: form-data; name="model"',))
    return f"--xx\r\n{head}\r\n\r\n{value}\r\n"


def form(*parts: str, end: str = "--xx--\r\n") -> bytes:
    return ("".join(parts) + end).encode()


FILE = part(
    "RIFF\r\n--x\r\n\0model",
    'Content-Disposition: form-data; name="file"; filename="a;name=model.wav"',
    "Content-Type: audio/wav",
)


@pytest.mark.parametrize(
    "body",
    [
        form(part()),
        form(FILE, part()),
        form(part(), FILE),
        form(part("m", "content-disposition:form-data;name=model")),
        form(
            part(
                "m",
                'Content-Disposition: form-data; name="model"; x=y;',
                "Content-Type: text/plain",
            )
        ),
        form(part(), end="--xx--"),
        form(part(), end="--xx--\r\nan epilogue"),
        form(part(), part("", 'Content-Disposition: form-data; name="x"')),
    ],
)
def test_a_field_is_found_with_its_place(body):
    field = form_field(body, TYPE, "model")
    assert field.value == "m"
    assert body[field.begin : field.end] == b"m"


def test_a_form_without_the_field_has_none():
    assert form_field(form(FILE), TYPE, "model") is None
    assert form_field(form(part("")), TYPE, "model") == Field("", 54, 54)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        form(),
        form(part(), part()),
        form(part("m", 'Content-Disposition: form-data; name="model"; name="x"')),
        form(part("m", "Content-Disposition: form-data; name=\"x\"; name*=utf-8''model")),
        form(part("m", 'Content-Disposition: form-data; name="x\\"; name="model"')),
        form(
            part(
                "m",
                'Content-Disposition: form-data; name="x"',
                'Content-Disposition: form-data; name="model"',
            )
        ),
        form(part("m", "Content-Type: text/plain")),
        form(part("m", "Content-Disposition: attachment; name=model")),
        form(part("m", "Content-Disposition : form-data; name=model")),
        form(part("m", "Content-Disposition: form-data;", ' name="model"')),
        form(part(), end=""),
        form(part(), end="--xxy--"),
        form(part("a\r\n--xxb")),
        b"preamble\r\n" + form(part()),
        form(part()).replace(b"\r\n", b"\n"),
        form(
            *[
                part("m", f'Content-Disposition: form-data; name="{n}"')
                for n in range(MOST_PARTS + 1)
            ]
        ),
        form(part("m", 'Content-Disposition: form-data; name="model"', "X: " + "y" * 9000)),
        form(part("m" * 9000)),
        form(part()).replace(b"\r\n\r\nm\r\n", b"\r\n\r\n\xff\r\n"),
    ],
)
def test_what_two_readers_could_take_for_different_forms_is_refused(body):
    with pytest.raises(InvalidRequestError):
        form_field(body, TYPE, "model")


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b'multipart/form-data; boundary="x',
        b"multipart/form-data; boundary=xx; boundary=yy",
        b"multipart/form-data; boundary=" + b"x" * 71,
        b"multipart/form-data; boundary*=utf-8''xx",
    ],
)
def test_a_boundary_that_is_not_plain_is_refused(content_type):
    assert is_form(content_type)
    with pytest.raises(InvalidRequestError):
        form_field(form(part()), content_type, "model")


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/form-data; boundary=xx; charset=utf-8",
        b"multipart/form-data;charset=UTF-8;boundary=xx",  # Spring's
    ],
)
def test_a_charset_may_stand_on_either_side_of_the_boundary(content_type):
    assert form_field(form(part()), content_type, "model").value == "m"


def test_a_boundary_may_be_quoted():
    assert form_field(form(part()), b'Multipart/Form-Data; boundary="xx"', "model").value == "m"
    assert not is_form(b"application/json")
    assert not is_form(b"multipart/mixed; boundary=xx")


@pytest.mark.parametrize(
    "disposition",
    [
        b"form-data" + b" " * 8000 + b"x",
        b"form-data; name=a" + b" " * 8000 + b"; x",
        b"form-data" + b" ; a=b" * 1300 + b" ; x",
    ],
)
def test_blanks_are_read_once_however_many_they_are(disposition):
    body = b"--xx\r\nContent-Disposition: " + disposition + b"\r\n\r\nm\r\n--xx--\r\n"
    begin = time.process_time()
    for _ in range(5):
        with pytest.raises(InvalidRequestError):
            form_field(body, b"multipart/form-data; boundary=xx", "model")
    assert time.process_time() - begin < 0.5


@given(
    st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20),
    st.binary(max_size=200),
    st.text(max_size=10),
)
def test_the_forms_of_a_stock_client_are_read(model, content, filename):
    request = httpx2.Request(
        "POST",
        "http://x/",
        data={"model": model, "language": "en"},
        files={"file": (f"{filename}.wav", content)},
    )
    content_type = request.headers["content-type"].encode()
    body = request.read()
    if content_type.partition(b"=")[2] in content:
        return
    field = form_field(body, content_type, "model")
    assert field.value == model
    assert body[field.begin : field.end].decode() == model
