"""Idempotency keys of async prompts: the same key refers to the same prompt, sent once.

A key's record is an object in the bucket, named by a hash, so a client cannot choose its place. The
request that creates the record sends the prompt; if it breaks off, exactly one later repetition
takes over. Knows objects, not queues.
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

CLAIMED_FOR = timedelta(seconds=30)
"""The time a request has to send its prompt: no Lambda behind API Gateway lives longer."""

_SMALL = 4096


@dataclass(frozen=True, slots=True)
class Claim:
    """A prompt's id. `ours`: this request is to send it; otherwise it has been sent."""

    prompt_id: str
    ours: bool


def fresh_id() -> str:
    """Return a new prompt's id, random because any token that may prompt reads results by id."""
    return secrets.token_hex(16)


def claim(
    objects: Objects,
    key: tuple[str, str],
    prompt: Mapping[str, Any],
    now: datetime,
    accepted: Callable[[str], bool],
) -> Claim:
    """Return the prompt of a key (token's id, Idempotency-Key); a new one for a new key.

    `accepted` returns whether a prompt has been sent.

    Raises:
        KeyReusedError: the key refers to another prompt.
        KeyBusyError: another request has just begun to send it.

    """
    place = f"{FOLDER}/{_digest(*key)}"
    fingerprint = _digest(*(f"{name}={prompt[name]!r}" for name in sorted(prompt)))
    new_id = fresh_id()
    if objects.create(place, _record(new_id, fingerprint, now)):
        return Claim(new_id, ours=True)
    present = objects.read(place, _SMALL)
    if present is None or present.body is None:
        raise KeyBusyError(1)  # it expired just now
    record = json.loads(present.body)
    if record["prompt"] != fingerprint:
        raise KeyReusedError
    prompt_id: str = record["id"]
    if prompt_id == new_id:
        # Our own write: its first answer was lost, and boto3 retried.
        return Claim(new_id, ours=True)
    if accepted(prompt_id):
        return Claim(prompt_id, ours=False)
    left = datetime.fromisoformat(record["at"]) + CLAIMED_FOR - now
    if left > timedelta(0):
        raise KeyBusyError(max(1, round(left.total_seconds())))
    if not objects.replace(place, _record(prompt_id, fingerprint, now), present.tag):
        raise KeyBusyError(1)
    return Claim(prompt_id, ours=True)


def _record(prompt_id: str, fingerprint: str, now: datetime) -> bytes:
    return json.dumps({"id": prompt_id, "prompt": fingerprint, "at": now.isoformat()}).encode()


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
