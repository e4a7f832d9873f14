"""Start of a leash, and its answer. Knows the protocol, not the contents of the orders."""

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import parkmeter.leash
from parkmeter.errors import DriverError

ANSWER_WITHIN = 10.0
"""Seconds within which a leash must answer. It takes some ten milliseconds; a machine that swaps
may need seconds, and killing the leash too early would fail a start without need."""

LEASH = Path(parkmeter.leash.__file__).with_name("__main__.py")


def start_leash(name: str, orders: dict[str, Any], environment: dict[str, str]) -> tuple[str, str]:
    """Start a leash for `name` with these orders; return its answer and the reason, if any.

    `environment`: the leash's, which its server inherits and may read.

    Raises:
        DriverError: the leash failed, or does not answer.

    """
    # The name is for readers of `ps`; all else goes through stdin: command lines are public.
    leash = subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-I", "-S", str(LEASH), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
    # It outlives this call by hours; without a wait for its exit a zombie would remain.
    threading.Thread(target=leash.wait, name=f"leash of {name}", daemon=True).start()
    reply = _exchange(leash, json.dumps({**orders, "name": name}).encode())
    try:
        answer = json.loads(reply)
        return answer["answer"], answer["why"]
    except ValueError:
        lines = reply.decode(errors="replace").strip().splitlines()
        raise DriverError(f"Its supervisor failed: {lines[-1] if lines else 'no answer'}") from None


def _exchange(leash: subprocess.Popen[bytes], orders: bytes) -> bytes:
    if leash.stdin is None or leash.stdout is None:
        raise TypeError
    with leash.stdout:
        with contextlib.suppress(BrokenPipeError), leash.stdin:
            leash.stdin.write(orders)
        reply = b""
        ready = select.poll()  # select.select fails on file numbers above 1023
        ready.register(leash.stdout, select.POLLIN)
        give_up = time.monotonic() + ANSWER_WITHIN
        while ready.poll(max(0.0, give_up - time.monotonic()) * 1000):
            if not (more := os.read(leash.stdout.fileno(), 65536)):
                return reply
            reply += more
    leash.kill()
    raise DriverError(f"Its supervisor did not answer within {ANSWER_WITHIN:g} s.")
