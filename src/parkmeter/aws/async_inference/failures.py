"""What became of an async prompt that failed: from the words SageMaker left to an answer. Pure.

What it leaves is not documented. Seen: its own sentence, with the model's status and words quoted;
and the model's words alone. Nothing that names an account is passed on.
"""

import re

from parkmeter.aws.api_events import Answer, answer, kind_of
from parkmeter.aws.async_inference.errors import ModelFailedError
from parkmeter.drivers.sagemaker_errors import redact
from parkmeter.errors import UpstreamError, UpstreamTimeoutError

LARGEST = 64 * 1024
"""Bytes of a failure that are read."""

_SHOWN = 2000
"""Characters of a model's words in a problem; what is longer is in the log of its container."""

_QUOTED = re.compile(
    r'Received (?:client|server) error \(([45]\d\d)\) from \S+ with message "(.*)"\. See ',
    re.DOTALL,
)


def model_said(text: str) -> Answer:
    """The model's own status and words, where both can be told.

    Raises:
        UpstreamTimeoutError: it took too long.
        ModelFailedError: the model's words, but no status.
        UpstreamError: SageMaker's words only, which stay in the log.

    """
    if quoted := _QUOTED.search(text):
        return answer(int(quoted[1]), quoted[2].encode(), {"Content-Type": kind_of(quoted[2])})
    if "timed out" in text:
        raise UpstreamTimeoutError("The model server did not answer this prompt in time.")
    if redact(text) != text or not text.strip():
        raise UpstreamError("The model server gave no answer to this prompt.")
    raise ModelFailedError(text[:_SHOWN])
