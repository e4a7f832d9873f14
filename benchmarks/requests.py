"""The requests that gateways are asked, and what the stub answers. Constants and text only."""

import json
from dataclasses import dataclass

TOKEN = "pm_benchmark_benchmark_benchmark"
ANSWER = json.dumps({"generated_texts": ["It was a bright cold day in April. " * 8]}).encode()
EVENT = b'data: {"token": {"text": " bright"}}\n\n'
CHAT_ANSWER = (
    b'{"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "stub", '
    b'"choices": [{"index": 0, "message": {"role": "assistant", "content": "It was a bright cold '
    b'day in April."}, "finish_reason": "stop"}], '
    b'"usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}}'
)

DIFFERENT_HEADS = 4096
"""Heads before one comes again: many times as many as a gateway can keep in a memo."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A POST that is sent over and over; `path` is the gateway's own.

    `differing`: each has another `traceparent` and `x-request-id`, as tracing clients send them.
    """

    path: str
    body: bytes = b'{"text_inputs": "Write a story about the weather.", "max_length": 50}'
    token: str = TOKEN
    differing: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """Return those that all prompts have, `Host` and `Content-Length` aside."""
        return {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Accept": "*/*",
        }
