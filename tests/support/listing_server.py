"""A model server that lists its models, and prompts that name one."""

import json

from tests.support.scripted_upstream import OK, ServerEnd

CHAT = "/v1/chat/completions"


def chat(model: object = "flan-t5", **more: object) -> bytes:
    return json.dumps(
        {"messages": [{"role": "user", "content": "hi"}], "model": model, **more}
    ).encode()


class ListingServer:
    """A model server that lists `ids` and keeps what else it received."""

    def __init__(self, *ids: str, answer: bytes = OK) -> None:
        self.ids = ids
        self.answer = answer
        self.got: list[tuple[str, bytes]] = []
        self.heads: list[bytes] = []
        self.lists = 0

    async def __call__(self, end: ServerEnd) -> None:
        while True:
            head, body = await end.request()
            if head.line == "GET /v1/models HTTP/1.1":
                self.lists += 1
                listed = json.dumps({"data": [{"id": id_} for id_ in self.ids]}).encode()
                await end.send(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(listed), listed
                )
                continue
            self.got.append((head.line, body))
            self.heads.append(head.raw)
            await end.send(self.answer)
