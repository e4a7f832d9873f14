"""One field of a multipart form, read out of bytes; files between are skipped. Pure.

Strict: what two readers could take for different forms is refused (RFC 7578, RFC 2046).
"""

import re
from typing import NamedTuple

from parkmeter.errors import InvalidRequestError

MOST_PARTS = 256
_LONGEST_HEAD = 8 * 1024
"""Bytes of the header lines of one part."""
_LONGEST_VALUE = 8 * 1024
"""Bytes of the field that is read."""

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 (a token of HTTP's grammar)
_BOUNDARY = re.compile(
    r"""\s*multipart/form-data\s*(?:;\s*charset=[^;\s]*\s*)?;\s*boundary="""
    r"""("?)([A-Za-z0-9'()+_,./:=? -]{0,69}"""
    r"""[A-Za-z0-9'()+_,./:=?-])\1\s*(?:;\s*charset=\S*)?""",
    re.IGNORECASE,
)
_QUOTED = r'"(?:[^"\\]|\\(?!"))*"'
"""Clients write a backslash as it is, some readers take one before a quote for an escape."""

_DISPOSITION = re.compile(rf"form-data((?:\s*+;\s*+{_TOKEN}=(?:{_TOKEN}|{_QUOTED}))*+)\s*+;?+\s*+")
"""Possessive: blanks could be shared out in thousands of ways, each of which would be tried."""

_PARAMETER = re.compile(rf';\s*({_TOKEN})=({_TOKEN}|"[^"]*")')
_HEAD = re.compile(rb"((?:[!-9;-~]+:[^\r\n\0]*\r\n)*)\r\n")


class Field(NamedTuple):
    """The value of a field, and where it stands: `body[begin:end]`."""

    value: str
    begin: int
    end: int


def is_form(content_type: bytes) -> bool:
    """Return whether a body of this type is a multipart form."""
    return content_type.partition(b";")[0].strip().lower() == b"multipart/form-data"


def form_field(body: bytes, content_type: bytes, name: str) -> Field | None:
    """Return the field of this name in a multipart form; None if it has none.

    Raises:
        InvalidRequestError: this is no well-formed form, or the field stands in it twice.

    """
    found: Field | None = None
    delimiter = b"\r\n--" + _boundary_of(content_type)
    position = _first_part(body, delimiter)
    for _ in range(MOST_PARTS):
        head = _HEAD.match(body, position, position + _LONGEST_HEAD)
        if head is None:
            raise _malformed()
        # The body of a part without bytes ends in the line end of its own head.
        end = body.find(delimiter, head.end() - 2)
        if end < 0:
            raise _malformed()
        if _name_of(head[1]) == name:
            if found is not None:
                raise InvalidRequestError(
                    f"{name!r} stands in the form more than once; send it once.", field=name
                )
            found = Field(_text(body[head.end() : end], name), head.end(), end)
        position = end + len(delimiter)
        if body[position : position + 2] == b"--":
            return found
        if body[position : position + 2] != b"\r\n":
            raise _malformed()
        position += 2
    raise InvalidRequestError(f"The form has more than {MOST_PARTS} parts.")


def _boundary_of(content_type: bytes) -> bytes:
    match = _BOUNDARY.fullmatch(content_type.decode("latin-1"))
    if match is None:
        raise InvalidRequestError(
            "The Content-Type of a form must have its boundary.", field="Content-Type"
        )
    return match[2].encode()


def _first_part(body: bytes, delimiter: bytes) -> int:
    """Return where the first part begins; text before it is not taken."""
    line = delimiter[2:] + b"\r\n"
    if not body.startswith(line):
        raise _malformed()
    return len(line)


def _name_of(lines: bytes) -> str:
    """Return the name of a part with these header lines."""
    named: list[str] = []
    for line in lines.decode("utf-8", "surrogateescape").split("\r\n"):
        key, _, value = line.partition(":")
        if key.lower() != "content-disposition":
            continue
        match = _DISPOSITION.fullmatch(value.strip())
        if match is None:
            raise _malformed()
        named += [
            text.strip('"')
            for parameter, text in _PARAMETER.findall(match[1])
            if parameter.lower().rstrip("*") == "name"
        ]
    if len(named) != 1:
        raise _malformed()
    return named[0]


def _text(value: bytes, name: str) -> str:
    if len(value) <= _LONGEST_VALUE:
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass
    raise InvalidRequestError(f"{name!r} is not a short text in UTF-8.", field=name)


def _malformed() -> InvalidRequestError:
    return InvalidRequestError("The body is not a well-formed multipart form.")
