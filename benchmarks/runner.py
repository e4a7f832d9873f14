"""Runs one scene in a process of its own, so that none disturbs the next; never raises."""

import importlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from multiprocessing.connection import Connection

from benchmarks.figures import Effort, Measured, Outcome
from benchmarks.machine import OthersMeter

MOST_SECONDS = 420.0


def run(scene: str, effort: Effort) -> Outcome:
    """Return what the scene measured, or why it did not."""
    module = importlib.import_module(f"benchmarks.scenes.{scene}")
    title, _, method = (module.__doc__ or scene).strip().partition("\n")
    load, began = os.getloadavg()[0], time.monotonic()
    measured, others, failure = _in_a_process(scene, effort)
    return Outcome(
        scene,
        title.rstrip("."),
        " ".join(method.split()),
        time.monotonic() - began,
        load,
        others,
        measured,
        failure,
    )


def _in_a_process(scene: str, effort: Effort) -> tuple[Measured, float | None, str]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(theirs, scene, effort), name=scene)
    process.start()
    theirs.close()
    nothing = Measured(())
    try:
        if not ours.poll(MOST_SECONDS):
            return nothing, None, f"it was not over after {MOST_SECONDS:.0f} s"
        answer: tuple[Measured, float | None, str] = ours.recv()
    except EOFError:
        return nothing, None, "its process has ended"
    else:
        return answer
    finally:
        if process.is_alive():
            process.join(10)
        if process.is_alive():
            process.terminate()  # raises SystemExit in it, so that it ends what it started
            process.join(60)


def _measure(answers: Connection, scene: str, effort: Effort) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    meter = OthersMeter()
    failure, measured = "", Measured(())
    try:
        measured = importlib.import_module(f"benchmarks.scenes.{scene}").measure(effort)
    except Exception as error:  # noqa: BLE001 (a scene that fails is an outcome)
        traceback.print_exc()
        failure = f"{type(error).__name__}: {error}"
    answers.send((measured, meter.share(), failure))
