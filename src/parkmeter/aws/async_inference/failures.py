"""Answers for failed async prompts, from the failure text that SageMaker leaves. Pure.

Its format is not documented. Seen: SageMaker's own sentence with the model's status and message
quoted, and the model's message alone. Nothing that names an account is passed on.
"""

import re

from parkmeter.aws.api_events import Answer, answer, guess_content_type
from parkmeter.aws.async_inference.errors import ModelFailedError
from parkmeter.drivers.sagemaker_errors import redact
from parkmeter.errors import UpstreamError, UpstreamTimeoutError

LARGEST = 64 * 1024
"""Bytes of a failure text that are read."""

_SHOWN = 2000
"""Characters of a model's message in a problem; its container's log has all of it."""

_QUOTED = re.compile(
    r'Received (?:client|server) error \(([45]\d\d)\) from \S+ with message "(.*)"\. See ',
    re.DOTALL,
)


def failure_answer(text: str) -> Answer:
    """Return the model's own status and message, where both are known.

    Raises:
        UpstreamTimeoutError: it took too long.
        ModelFailedError: the model's message, without a status.
        UpstreamError: only SageMaker's message, which stays in the log.

    """
    if quoted := _QUOTED.search(text):
        headers = {"Content-Type": guess_content_type(quoted[2])}
        return answer(int(quoted[1]), quoted[2].encode(), headers)
    if "timed out" in text:
        raise UpstreamTimeoutError("The model server did not answer this prompt in time.")
    if redact(text) != text or not text.strip():
        raise UpstreamError("The model server gave no answer to this prompt.")
    raise ModelFailedError(text[:_SHOWN])
