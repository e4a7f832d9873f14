"""Starting a leash and hearing its answer. Knows how to speak with one, not what to tell it."""

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
"""Seconds until a leash must have answered. It needs some ten milliseconds; on a machine that is
swapping it may need seconds, and one killed too early is a start that failed for nothing."""

LEASH = Path(parkmeter.leash.__file__).with_name("__main__.py")

OURS_ALONE = ("PARKMETER_BOOTSTRAP_TOKEN", "PARKMETER_TOKEN", "NOTIFY_SOCKET")
"""Variables of the gateway that a model server has no business with."""


def put_on_leash(name: str, orders: dict[str, Any]) -> tuple[str, str]:
    """Start a leash for `name` with these orders; its answer, and why, where it says why.

    Raises:
        DriverError: it could not begin, or does not answer.

    """
    environment = {key: value for key, value in os.environ.items() if key not in OURS_ALONE}
    # The name is there for people who read `ps`; everything else goes through stdin, because
    # command lines are public.
    leash = subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-I", "-S", str(LEASH), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
    # It will outlive this call by hours; somebody has to take note of its end, or a zombie stays.
    threading.Thread(target=leash.wait, name=f"leash of {name}", daemon=True).start()
    said = _converse(leash, json.dumps({**orders, "name": name}).encode())
    try:
        answer = json.loads(said)
        return answer["answer"], answer["why"]
    except ValueError:
        lines = said.decode(errors="replace").strip().splitlines()
        raise DriverError(f"Its supervisor failed: {lines[-1] if lines else 'no answer'}") from None


def _converse(leash: subprocess.Popen[bytes], orders: bytes) -> bytes:
    if leash.stdin is None or leash.stdout is None:
        raise TypeError
    with leash.stdout:
        with contextlib.suppress(BrokenPipeError), leash.stdin:
            leash.stdin.write(orders)
        said = b""
        ready = select.poll()  # select.select cannot take the numbers a busy gateway's files have
        ready.register(leash.stdout, select.POLLIN)
        give_up = time.monotonic() + ANSWER_WITHIN
        while ready.poll(max(0.0, give_up - time.monotonic()) * 1000):
            if not (more := os.read(leash.stdout.fileno(), 65536)):
                return said
            said += more
    leash.kill()
    raise DriverError(f"Its supervisor did not answer within {ANSWER_WITHIN:g} s.")
