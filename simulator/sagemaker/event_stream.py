"""The wire format of event streams (`application/vnd.amazon.eventstream`), one message at a time.

After the AWS documentation of the format: prelude of two lengths and their checksum, headers,
payload, checksum of the whole. All header values that SageMaker sends are strings.
"""

import struct
from zlib import crc32

_STRING = 7


def message(headers: dict[str, str], payload: bytes) -> bytes:
    """Encode one message."""
    encoded = b"".join(_header(name, value) for name, value in headers.items())
    lengths = struct.pack("!II", 12 + len(encoded) + len(payload) + 4, len(encoded))
    start = lengths + struct.pack("!I", crc32(lengths)) + encoded + payload
    return start + struct.pack("!I", crc32(start))


def event(kind: str, payload: bytes) -> bytes:
    """Encode one event that carries bytes."""
    return message(
        {
            ":event-type": kind,
            ":content-type": "application/octet-stream",
            ":message-type": "event",
        },
        payload,
    )


def exception(kind: str, payload: bytes) -> bytes:
    """Encode an error during the stream; it is the last message."""
    return message(
        {
            ":exception-type": kind,
            ":content-type": "application/json",
            ":message-type": "exception",
        },
        payload,
    )


def _header(name: str, value: str) -> bytes:
    label, text = name.encode(), value.encode()
    return struct.pack("!B", len(label)) + label + struct.pack("!BH", _STRING, len(text)) + text
