"""JumpStart's form of questions and answers at ``POST /invocations``. Pure.

* Bodies: ``application/json`` is JumpStart's payload, answered ``{"generated_texts": [...]}``,
  always a flat list: the texts of the first prompt, then those of the second.
  ``application/x-text`` is the prompt itself, answered ``{"generated_text": "..."}``. A body
  without a content type, or with the default one of ``curl -d``, is treated as JSON.
* ``Accept: ...;verbose`` adds ``details``: per text ``prompt_tokens``, ``tokens`` and ``finish``
  ("stop", "length" or "time").
* ``Accept: text/event-stream`` streams: one ``data: {"text": "..."}`` per piece, with ``"index"``
  if there are several texts, and finally ``data: {"generated_texts": [...]}``. The pieces of a
  text add up to it. A later error is ``event: error`` with the problem as its data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from parkmeter.model_server.batch_queue import Text
from parkmeter.model_server.decoding import plan
from parkmeter.model_server.errors import Problem
from parkmeter.model_server.payload import Payload, parse_json, parse_text
from parkmeter.model_server.reply import event, to_json

TEXT = "application/x-text"
EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True)
class JumpStartReply:
    """Implements `Reply`. `single`: the question was plain text; `verbose`: with details."""

    payload: Payload
    streams: bool
    single: bool
    verbose: bool
    texts: int
    prompts: str = "text_inputs"

    def body(self, texts: Sequence[Text]) -> bytes:
        """See `Reply`."""
        return self._document(texts, single=self.single) + b"\n"

    def opening(self) -> bytes:
        """See `Reply`."""
        return b""

    def piece(self, index: int, text: str) -> bytes:
        """See `Reply`."""
        return event(to_json({"text": text} if self.texts == 1 else {"index": index, "text": text}))

    def closing(self, texts: Sequence[Text]) -> bytes:
        """See `Reply`."""
        return event(self._document(texts, single=False))

    def failure(self, problem: Problem) -> bytes:
        """See `Reply`."""
        return b"event: error\n" + event(problem.body())

    def _document(self, texts: Sequence[Text], *, single: bool) -> bytes:
        document: dict[str, Any] = (
            {"generated_text": texts[0].text}
            if single
            else {"generated_texts": [text.text for text in texts]}
        )
        if self.verbose:
            document["details"] = [
                {"prompt_tokens": text.prompt_tokens, "tokens": text.tokens, "finish": text.finish}
                for text in texts
            ]
        return to_json(document)


def jumpstart_reply(body: bytes, content_type: str, accept: str) -> JumpStartReply:
    """Return the reply that a body asks for; `accept` in lower case and without spaces.

    Raises:
        PayloadError: The body is not valid.
    """
    single = content_type == TEXT
    payload = parse_text(body) if single else parse_json(body)
    return JumpStartReply(
        payload,
        streams=EVENTS in accept,
        single=single,
        verbose=";verbose" in accept,
        texts=plan(payload).texts,
    )
