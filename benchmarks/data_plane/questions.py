"""The request to every gateway and the answer of the stub behind it. Constants only."""

import json
from dataclasses import dataclass

TOKEN = "pm_benchmark_benchmark"
ANSWER = json.dumps({"generated_texts": ["It was a bright cold day in April. " * 8]}).encode()
CHAT_ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "stub",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "It was a bright cold day in April."},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    }
).encode()
EVENT = b'data: {"token": {"text": " bright"}}\n\n'
EVENTS = 100
EVENT_SECONDS = 0.002
"""Between two events of a stream: apart, so that every gateway treats each by itself."""


@dataclass(frozen=True, slots=True)
class Question:
    """A POST that every gateway is asked over and over; `path` is the gateway's own."""

    path: str = "/flan"
    body: bytes = b'{"text_inputs": "Write a story about the weather.", "max_length": 50}'
    token: str = TOKEN

    @property
    def headers(self) -> dict[str, str]:
        """Those that the generator of load sends, `Host` and `Content-Length` aside."""
        return {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Accept": "*/*",
        }

    def raw(self, port: int) -> bytes:
        """Return the whole request as bytes on the wire."""
        lines = [f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"Content-Length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode() + self.body


def stream_of(events: int) -> Question:
    """Asks for a stream; a gateway hands `/flan/…` on as `/…`."""
    return Question(path=f"/flan/events/{events}")
