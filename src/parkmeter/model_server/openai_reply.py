"""OpenAI's form of answers: completions, chat completions, their streams, the list of models.

Knows texts, not how they are generated.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from parkmeter.model_server.batch_queue import Text
from parkmeter.model_server.decoding import plan
from parkmeter.model_server.errors import Problem
from parkmeter.model_server.openai_payload import Question
from parkmeter.model_server.reply import event, to_json

_DONE = event(b"[DONE]")


class OpenAIReply:
    """Implements `Reply` for both kinds of completions, of the model with the id `model`."""

    def __init__(self, question: Question, model: str, *, chat: bool) -> None:
        self.payload = question.payload
        self.streams = question.streams
        self.prompts = "messages" if chat else "prompt"
        self._chat = chat
        self._question = question
        self._stops = [_Stop(question.stop) for _ in range(plan(question.payload).texts)]
        self._begun = {
            "id": ("chatcmpl-" if chat else "cmpl-") + secrets.token_hex(12),
            "created": int(time.time()),
            "model": model,
        }

    def body(self, texts: Sequence[Text]) -> bytes:
        """See `Reply`."""
        choices = []
        for index, text in enumerate(texts):
            written = self._stops[index].add(text.text) + self._stops[index].rest()
            content: dict[str, Any] = (
                {"message": {"role": "assistant", "content": written}}
                if self._chat
                else {"text": written}
            )
            choices.append({"index": index, **content, **self._finish(index, text)})
        kind = "chat.completion" if self._chat else "text_completion"
        return to_json(
            {"object": kind, **self._begun, "choices": choices, "usage": self._usage(texts)}
        )

    def opening(self) -> bytes:
        """See `Reply`."""
        if not self._chat:
            return b""
        return b"".join(
            self._event(index, {"delta": {"role": "assistant", "content": ""}})
            for index in range(len(self._stops))
        )

    def piece(self, index: int, text: str) -> bytes:
        """See `Reply`."""
        return self._written(index, self._stops[index].add(text))

    def closing(self, texts: Sequence[Text]) -> bytes:
        """See `Reply`."""
        events = []
        for index, text in enumerate(texts):
            events.append(self._written(index, self._stops[index].rest()))
            content: dict[str, Any] = {"delta": {}} if self._chat else {"text": ""}
            events.append(self._event(index, {**content, **self._finish(index, text)}))
        if self._question.usage:
            usage = {"choices": [], "usage": self._usage(texts)}
            events.append(event(to_json({**self._head(), **usage})))
        return b"".join([*events, _DONE])

    def failure(self, problem: Problem) -> bytes:
        """See `Reply`."""
        return event(problem.body())

    def _written(self, index: int, text: str) -> bytes:
        if not text:
            return b""
        return self._event(index, {"delta": {"content": text}} if self._chat else {"text": text})

    def _event(self, index: int, choice: Mapping[str, Any]) -> bytes:
        one = {"index": index, "finish_reason": None, **choice}
        return event(to_json({**self._head(), "choices": [one]}))

    def _head(self) -> dict[str, Any]:
        return {
            "object": "chat.completion.chunk" if self._chat else "text_completion",
            **self._begun,
        }

    def _finish(self, index: int, text: Text) -> dict[str, Any]:
        stopped = text.finish == "stop" or self._stops[index].found
        return {"logprobs": None, "finish_reason": "stop" if stopped else "length"}

    def _usage(self, texts: Sequence[Text]) -> dict[str, int]:
        each = len(texts) // len(self.payload.text_inputs)
        read = sum(text.prompt_tokens for text in texts[::each])
        written = sum(text.tokens for text in texts)
        return {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        }


class _Stop:
    """Ends one text before the first of some strings; `found` says that one came.

    A piece may end with the beginning of one, which is kept until the next piece decides.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._kept = ""
        self.found = False

    def add(self, piece: str) -> str:
        """Return the text that is certain now."""
        if self.found or not self._stops:
            return "" if self.found else piece
        text = self._kept + piece
        ends = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if ends:
            self.found, self._kept = True, ""
            return text[: min(ends)]
        keep = max(_common(text, stop) for stop in self._stops)
        self._kept = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        """Return what was kept: no further piece comes."""
        kept, self._kept = self._kept, ""
        return kept


def _common(text: str, stop: str) -> int:
    """Return the length of the longest end of `text` that `stop` begins with."""
    return next((size for size in range(len(stop) - 1, 0, -1) if text.endswith(stop[:size])), 0)


def model_object(model: str, created: int) -> dict[str, Any]:
    """Return a model as ``GET /v1/models/{id}`` shows it; `created` in seconds since 1970."""
    return {"id": model, "object": "model", "created": created, "owned_by": "parkmeter"}


def model_list(model: str, created: int) -> dict[str, Any]:
    """Return the list of models that this server has: one."""
    return {"object": "list", "data": [model_object(model, created)]}
