"""A model server that answers at once and writes down the time of its SIGTERM. Sockets only.

    python -I -S noted_server.py NOTES NAME PORT

It must be up in some ten milliseconds, because many of them start at once.
"""

import os
import signal
import socket
import sys
import time
from types import FrameType

file, name, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


def end(_number: int, _frame: FrameType | None) -> None:
    """Write down the time, and end."""
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, f"sigterm {name} {time.time():.6f}\n".encode())
    os._exit(0)


signal.signal(signal.SIGTERM, end)
listener = socket.create_server(("127.0.0.1", port), backlog=64)
while True:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
