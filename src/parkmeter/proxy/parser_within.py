"""A parser that begins within a request: its head was read, its body was not.

httptools ends a request that offers another protocol with its head. Where the offer is declined,
the body is still to be read, and the requests after it.
"""

from typing import Any

import httptools

from parkmeter.web.headers import Fields

_FRAMING = frozenset({b"connection", b"transfer-encoding"})
"""Headers that decide how much follows a head, beside its length."""


def parser_within(reader: Any, fields: Fields, length: bytes | None) -> httptools.HttpRequestParser:
    """Return a parser for the body behind a head, and for all that comes behind that.

    `reader` has httptools' callbacks; none is called for the head, of which these are the fields
    and the Content-Length.
    """
    lines = [b"%b: %b\r\n" % field for field in fields if field[0] in _FRAMING]
    if length is not None:
        lines.append(b"content-length: %b\r\n" % length)
    callbacks = _Callbacks(reader)
    parser = httptools.HttpRequestParser(callbacks)
    parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(lines))
    callbacks.silent = False
    return parser


class _Callbacks:
    """The callbacks of a reader, without those for the head that it has read already."""

    def __init__(self, reader: Any) -> None:
        self.silent = True
        self.on_body = reader.on_body
        self.on_message_complete = reader.on_message_complete
        self._reader = reader

    def on_message_begin(self) -> None:
        """See httptools."""
        if not self.silent:
            self._reader.on_message_begin()

    def on_url(self, url: bytes) -> None:
        """See httptools."""
        if not self.silent:
            self._reader.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        if not self.silent:
            self._reader.on_header(name, value)

    def on_headers_complete(self) -> None:
        """See httptools."""
        if not self.silent:
            self._reader.on_headers_complete()
