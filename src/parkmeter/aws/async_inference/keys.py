"""Idempotency keys of async prompts: the same key leads to the same prompt, sent once.

A key's record lies in the bucket, under a hash that no client can aim elsewhere. Who writes it
first sends the prompt; if that one breaks off, a later repetition takes its place, and of several
only one. Knows objects, not queues.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from parkmeter.aws.async_inference.errors import KeyBusyError
from parkmeter.aws.async_inference.objects import Objects
from parkmeter.errors import KeyReusedError

FOLDER = "inputs/keys"

TURN = timedelta(seconds=30)
"""So long the one who sends has for it: no Lambda behind API Gateway lives longer."""

_SMALL = 4096


@dataclass(frozen=True, slots=True)
class Claim:
    """A prompt's id. `ours`: it is for this request to send it; otherwise that has been done."""

    prompt_id: str
    ours: bool


def fresh_id() -> str:
    """A prompt's id. Random, because whoever may prompt and knows it is shown the result."""
    return secrets.token_hex(16)


def claim(
    objects: Objects,
    key: tuple[str, str],
    prompt: Mapping[str, Any],
    now: datetime,
    accepted: Callable[[str], bool],
) -> Claim:
    """Which prompt a key (token's id, Idempotency-Key) stands for; a new one if it is new.

    `accepted` says whether a prompt has been sent.

    Raises:
        KeyReusedError: it stands for another prompt.
        KeyBusyError: somebody else has just begun to send it.

    """
    place = f"{FOLDER}/{_digest(*key)}"
    fingerprint = _digest(*(f"{name}={prompt[name]!r}" for name in sorted(prompt)))
    new_id = fresh_id()
    if objects.create(place, _record(new_id, fingerprint, now)):
        return Claim(new_id, ours=True)
    present = objects.read(place, _SMALL)
    if present is None or present.body is None:
        raise KeyBusyError(1)  # it expired this very moment
    record = json.loads(present.body)
    if record["prompt"] != fingerprint:
        raise KeyReusedError
    prompt_id: str = record["id"]
    if prompt_id == new_id:
        # Our own write: its first answer was lost, and boto3 wrote again.
        return Claim(new_id, ours=True)
    if accepted(prompt_id):
        return Claim(prompt_id, ours=False)
    left = datetime.fromisoformat(record["at"]) + TURN - now
    if left > timedelta(0):
        raise KeyBusyError(max(1, round(left.total_seconds())))
    if not objects.replace(place, _record(prompt_id, fingerprint, now), present.tag):
        raise KeyBusyError(1)
    return Claim(prompt_id, ours=True)


def _record(prompt_id: str, fingerprint: str, now: datetime) -> bytes:
    return json.dumps({"id": prompt_id, "prompt": fingerprint, "at": now.isoformat()}).encode()


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
