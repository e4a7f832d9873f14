"""A model server that answers at once and records the time of its SIGTERM. Sockets only.

It must be up in some ten milliseconds: twenty of them start at once.

    python benchmarks/exact/server.py NOTES NAME PORT
"""

import json
import os
import signal
import socket
import sys
import time
from types import FrameType

file, name, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


def end(_number: int, _frame: FrameType | None) -> None:
    """Note the moment (see `notes`, which is not imported: a start would take twice as long)."""
    line = json.dumps([time.time(), "sigterm", name]) + "\n"
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, line.encode())
    os._exit(0)


signal.signal(signal.SIGTERM, end)
listener = socket.create_server(("127.0.0.1", port), backlog=64)
while True:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
