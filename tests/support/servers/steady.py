"""A model server that keeps its connections, and says in every answer what it used.

A JSON answer, or a stream of events where the prompt asks for one. Standard library only.
"""

import asyncio
import json
import sys

USAGE = b'"usage":{"prompt_tokens":3,"completion_tokens":%d}'
HEAD = b"HTTP/1.1 200 OK\r\nserver: steady\r\ncontent-type: application/json\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection; the gateway always sends a length, or chunks."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            body = b""
            if b"\r\ntransfer-encoding: chunked" in head:
                while size := int(await reader.readuntil(b"\r\n"), 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readexactly(2)
            elif b"\r\ncontent-length: " in head:
                length = int(head.partition(b"\r\ncontent-length: ")[2].split(b"\r", 1)[0])
                body = await reader.readexactly(length)
            asked = json.loads(body) if body else {}
            usage = USAGE % asked.get("words", 0)
            if asked.get("stream"):
                writer.write(STREAM)
                for number in range(asked["words"]):
                    writer.write(chunk(b'data: {"word":%d}\n\n' % number))
                    await writer.drain()
                writer.write(chunk(b"data: {%b}\n\n" % usage) + b"0\r\n\r\n")
            else:
                answer = b'{"text":"%b",%b}' % (b"x" * asked.get("size", 0), usage)
                writer.write(b"%bcontent-length: %d\r\n\r\n%b" % (HEAD, len(answer), answer))
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
