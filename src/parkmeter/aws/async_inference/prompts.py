"""Async prompts: write one to the bucket, queue it at SageMaker, find its result.

The folder `inputs/` of an endpoint's async bucket holds, by a prompt's id, the prompt and a receipt
with the place that SageMaker chose for the result. The receipt is written last, so a prompt without
one was never accepted. Everything expires by the bucket's lifecycle rule. Knows neither tokens nor
routes.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws.api_events import LARGEST, Answer, answer
from parkmeter.aws.async_inference import failures
from parkmeter.aws.async_inference.errors import UnknownPromptError
from parkmeter.aws.async_inference.keys import Claim, claim, fresh_id
from parkmeter.aws.async_inference.objects import Objects
from parkmeter.aws.definitions import Queue
from parkmeter.core.meter import Status
from parkmeter.errors import NotServingError, UpstreamError, UpstreamTimeoutError

_log = logging.getLogger(__name__)

INPUTS = "inputs"
"""The same as in `stacks/names.py`."""

IN_QUEUE = timedelta(hours=6)
IN_MODEL = timedelta(hours=1)
"""SageMaker's longest times. It may leave no failure text for a prompt that it gives up."""

_SLACK = timedelta(minutes=10)
_RETRY_AFTER = 60
"""Seconds: creating an endpoint takes minutes."""

_ID = re.compile(r"[0-9a-f]{32}")
_SMALL = 4096


class AsyncPrompts:
    """Accepts prompts and finds their results. `runtime`: a client of SageMaker's runtime."""

    def __init__(self, s3: Any, runtime: Any, now: Callable[[], datetime]) -> None:
        self._s3 = s3
        self._runtime = runtime
        self._now = now

    def accept(
        self, queue: Queue, prompt: Mapping[str, Any], key: tuple[str, str] | None = None
    ) -> Claim:
        """Queue a prompt (`api_events.prompt_in`) under a new id that cannot be guessed.

        A repetition with the same key (token's id, Idempotency-Key) returns the first prompt's id
        and queues nothing. It runs twice only if SageMaker's answer to the first one was lost.

        Raises:
            AsyncNotDeployedError, NotServingError, UpstreamError: nothing is queued.
            KeyReusedError, KeyBusyError: see `keys.claim`.

        """
        objects = self._objects(queue)
        if key is None:
            claimed = Claim(fresh_id(), ours=True)
        else:

            def accepted(prompt_id: str) -> bool:
                return objects.read(_receipt(prompt_id), _SMALL) is not None

            claimed = claim(objects, key, prompt, self._now(), accepted)
        if claimed.ours:
            self._send(queue, objects, claimed.prompt_id, prompt)
        return claimed

    def result(self, queue: Queue, prompt_id: str) -> Answer | None:
        """Return the model's result or its own error; None while there is neither.

        A result over `LARGEST` is a 303 to its address in the bucket.

        Raises:
            UnknownPromptError: no such id, or expired.
            AsyncNotDeployedError: the bucket is gone.
            UpstreamError, UpstreamTimeoutError, ModelFailedError: there will be no result.

        """
        if not _ID.fullmatch(prompt_id):
            raise UnknownPromptError
        objects = self._objects(queue)
        found = objects.read(_receipt(prompt_id), _SMALL)
        if found is None or found.body is None:
            raise UnknownPromptError
        receipt = json.loads(found.body)
        if (result := objects.read(receipt["result"], LARGEST)) is not None:
            if result.body is None:
                address = objects.address(receipt["result"])
                return answer(303, b"", {"Location": address, "Cache-Control": "no-store"})
            return answer(200, result.body, {"Content-Type": result.content_type})
        failure = receipt["failure"] and objects.read(receipt["failure"], failures.LARGEST)
        if failure:
            text = (failure.body or b"").decode("utf-8", "replace")
            _log.warning("%s failed at %s: %.500s", prompt_id, queue.endpoint, text)
            return failures.failure_answer(text)
        if self._now() > datetime.fromisoformat(receipt["at"]) + IN_QUEUE + IN_MODEL + _SLACK:
            raise UpstreamTimeoutError("SageMaker gave up this prompt: it took too long.")
        return None

    def _send(
        self, queue: Queue, objects: Objects, prompt_id: str, prompt: Mapping[str, Any]
    ) -> None:
        place = f"{INPUTS}/{prompt_id}/prompt"
        types = {name: value for name, value in prompt.items() if name != "Body"}
        kind = {"ContentType": types["ContentType"]} if "ContentType" in types else {}
        objects.write(place, prompt["Body"], **kind)
        try:
            response = self._runtime.invoke_endpoint_async(
                EndpointName=queue.endpoint,
                InputLocation=f"s3://{queue.bucket}/{place}",
                InferenceId=prompt_id,
                RequestTTLSeconds=int(IN_QUEUE.total_seconds()),
                InvocationTimeoutSeconds=int(IN_MODEL.total_seconds()),
                **types,
            )
        except ClientError as error:
            raise _not_queued(queue, error) from None
        except BotoCoreError as error:
            _log.warning("%s could not be reached: %s", queue.endpoint, error)
            raise UpstreamError("SageMaker could not be reached.") from None
        receipt = {
            "result": _key(response["OutputLocation"]),
            "failure": _key(response.get("FailureLocation", "")),
            "at": self._now().isoformat(),
        }
        objects.write(_receipt(prompt_id), json.dumps(receipt).encode())

    def _objects(self, queue: Queue) -> Objects:
        return Objects(self._s3, queue.bucket, queue.stack)


def _not_queued(queue: Queue, error: ClientError) -> NotServingError | UpstreamError:
    """Return the error for a refusal; SageMaker's message names accounts, so it is only logged."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    _log.warning("%s did not accept the prompt: %s: %.500s", queue.endpoint, code, message)
    if code == "ValidationError" and message.rstrip(". ").endswith("not found"):
        return NotServingError(
            f"The async endpoint of {queue.name!r} does not exist now: {queue.stack} is being "
            "deployed or removed.",
            status=Status.STARTING.value,
            retry_after=_RETRY_AFTER,
        )
    return UpstreamError(f"SageMaker rejected the prompt ({code}).")


def _receipt(prompt_id: str) -> str:
    return f"{INPUTS}/{prompt_id}/receipt"


def _key(address: str) -> str:
    """Return the key in an s3:// address; empty for an empty address."""
    return address.removeprefix("s3://").partition("/")[2]
