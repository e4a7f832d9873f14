"""The end of a gateway: every endpoint is stopped, and meters stay as they are."""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from parkmeter.core.decide_closed import PARKED, park
from parkmeter.core.decision import Decision, Observed
from parkmeter.core.meter import Meter, Spec
from parkmeter.errors import DriverError, StoreBusyError
from parkmeter.service.reconciler import Reconciler

log = logging.getLogger(__name__)

_AT_ONCE = 32
"""Endpoints stopped at the same time. One after the other, each would wait for a store that another
process has locked: three endpoints took 50 seconds, and a service manager kills after 90."""


def park_all(reconciler: Reconciler, specs: Mapping[str, Spec]) -> list[str]:
    """Stop these endpoints and all that exist; return the names not stopped yet."""
    # Also those that the configuration lacked already when this process began.
    every = {name: Spec(name) for name in owned(reconciler)} | dict(specs)
    if not every:
        return []
    with ThreadPoolExecutor(min(len(every), _AT_ONCE), thread_name_prefix="park") as pool:
        stopped = list(pool.map(lambda spec: _is_parked(reconciler, spec), every.values()))
    return [name for name, gone in zip(every, stopped, strict=True) if not gone]


def owned(reconciler: Reconciler) -> list[str]:
    """Return the endpoints that exist; none if they cannot be listed now."""
    try:
        return sorted(reconciler.driver.owned())
    except DriverError as error:
        log.warning("the endpoints cannot be listed: %s", error)
        return []


def _is_parked(reconciler: Reconciler, spec: Spec) -> bool:
    """Run one step towards the end of an endpoint; return whether it is gone."""

    def step(spec: Spec, meter: Meter, observed: Observed) -> Decision:
        return park(spec, meter, observed, PARKED, reconciler.clock.now())

    try:
        if reconciler.reconcile(spec, step) is None:
            return True
        recorded = not reconciler.unfinished.is_unrecorded(spec.name)
    except StoreBusyError:
        recorded = False
    except Exception:
        log.exception("%s: cannot be stopped", spec.name)
        return False
    # The end of one that is gone can be recorded later.
    return not recorded and spec.name not in owned(reconciler)
