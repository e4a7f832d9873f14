"""The end of a server-sent event that was cut in its middle, so that clients can read it. Pure.

What was sent of it stays sent, and clients read its JSON before they come to the error that
follows. Unreadable, it would be all that a person is shown.
"""

import re

_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\n\r\n|\r\r")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_EVENTS_START = (b"data", b"event:", b"id:", b"retry:", b":")

_TOKEN = re.compile(
    rb'[ \t\r\n]+|[{}\[\],:]|"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[^ \t\r\n{}\[\],:"]+', re.DOTALL
)
_ESCAPE = re.compile(rb'"(?:[^"\\]|\\.)*?\\(u[0-9a-fA-F]{0,3})?\Z', re.DOTALL)
_NUMBER = re.compile(rb"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORDS = (b"true", b"false", b"null")

_FIRST_KEY, _KEY, _COLON, _FIRST_VALUE, _VALUE, _NEXT = range(6)
"""How a JSON text goes on: `_FIRST_…` also with the end, `_NEXT` with a comma or the end."""


def rest_of_event(last: bytes, error: bytes) -> bytes:
    """Return what completes an event that ends in `last`, the last bytes of its stream.

    `error`: a JSON object. Where the event's data is the beginning of another object, the members
    of `error` become its own, so that a client which reads this event has the error at once.
    """
    event = _BLANK_LINE.split(last)[-1]
    lines = _LINE_END.split(event)
    begun = len(event) < len(last) or last.lstrip().startswith(_EVENTS_START)
    *earlier, line = lines
    within = line == b"data" or line.startswith(b"data:")
    data = [one[5:].removeprefix(b" ") for one in earlier if one.startswith(b"data:")]
    if not begun or not (within or data):
        return b"\n\n"
    if within:
        data.append(line[5:].removeprefix(b" "))
    rest = _rest_of_object(b"\n".join(data), error)
    if rest is None:
        return b"\n\n"
    lead = b":" if line == b"data" else b""
    if not within:
        lead = b"\ndata: " if line else b"data: "
    return lead + rest + b"\n\n"


def _rest_of_object(text: bytes, members: bytes) -> bytes | None:
    """Return the end of a JSON object that `text` begins, with further members; None if it cannot.

    Also None for an object that is complete.
    """
    if not text.strip():
        return members
    open_, state, place = list[bytes](), _VALUE, 0
    rest: bytes | None = b""
    for token in _TOKEN.finditer(text):
        if token.start() != place or (not open_ and place and state is _NEXT):
            return None
        place, word = token.end(), token[0]
        if word.isspace():
            continue
        if not open_ and word != b"{":
            return None
        if place == len(text):
            rest = _rest_of_word(word)
        moved = _after(state, word, open_)
        if moved is None:
            return None
        state = moved
        if not open_:
            return None
    if place != len(text) or not open_ or rest is None:
        return None
    return rest + _closing(state, open_, members)


def _after(state: int, word: bytes, open_: list[bytes]) -> int | None:
    """Return what may follow a word, whose brackets are put on `open_` or taken off; None: none."""
    match word:
        case b"{" | b"[" if state in {_VALUE, _FIRST_VALUE}:
            open_.append(word)
            return _FIRST_KEY if word == b"{" else _FIRST_VALUE
        case b"}" if state in {_FIRST_KEY, _NEXT} and open_[-1] == b"{":
            open_.pop()
            return _NEXT
        case b"]" if state in {_FIRST_VALUE, _NEXT} and open_[-1] == b"[":
            open_.pop()
            return _NEXT
        case b"," if state == _NEXT:
            return _KEY if open_[-1] == b"{" else _VALUE
        case b":" if state == _COLON:
            return _VALUE
        case b"{" | b"}" | b"[" | b"]" | b"," | b":":
            return None
        case _ if word.startswith(b'"') and state in {_FIRST_KEY, _KEY}:
            return _COLON
        case _ if state in {_VALUE, _FIRST_VALUE}:
            return _NEXT
        case _:
            return None


def _closing(state: int, open_: list[bytes], members: bytes) -> bytes:
    """Return what closes all that is open, with `members` at the end of the outermost object."""
    top = len(open_) == 1
    match state:
        case _ if state == _COLON:
            rest = b":null"
        case _ if state == _VALUE:
            rest = b"null"
        case _ if state == _KEY and not top:
            rest = b'"":null'
        case _:
            rest = b""
    for bracket in reversed(open_[1:]):
        rest += b"}" if bracket == b"{" else b"]"
    joined = members.strip()[1:]
    return rest + (joined if top and state in {_FIRST_KEY, _KEY} else b"," + joined)


def _rest_of_word(word: bytes) -> bytes | None:
    """Return the rest of a string, number or literal that is cut at its end; None if it is none."""
    if word in b"{}[],:":
        return b""
    if not word.startswith(b'"'):
        for whole in _WORDS:
            if whole.startswith(word):
                return whole[len(word) :]
        return next((end for end in (b"", b"0") if _NUMBER.fullmatch(word + end)), None)
    if (escape := _ESCAPE.match(word)) is not None:
        hexes = escape[1]
        return b'\\"' if hexes is None else b"0" * (5 - len(hexes)) + b'"'
    if len(word) > 1 and word.endswith(b'"') and _closed(word):
        return b""
    return _rest_of_character(word) + b'"'


def _closed(word: bytes) -> bool:
    """Return whether a string that ends with a quotation mark ends there."""
    before = word[:-1]
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 0


def _rest_of_character(text: bytes) -> bytes:
    """Return bytes that complete a character of UTF-8 that is cut."""
    for length in range(1, 4):
        lead = text[-length:][:1]
        if lead >= b"\xc0":
            wanted = 2 if lead < b"\xe0" else 3 if lead < b"\xf0" else 4
            tail = text[-length:]
            first = {b"\xe0": b"\xa0", b"\xf0": b"\x90"}.get(lead, b"\x80")
            missing = b"\x80" * (wanted - length)
            return first + missing[1:] if length == 1 and missing else missing if tail else b""
        if lead < b"\x80":
            return b""
    return b""
