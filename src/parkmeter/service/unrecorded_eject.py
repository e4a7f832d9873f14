"""An eject that the store cannot record: the endpoint is stopped first, and it is recorded later.

Stopping never needs the disk: nothing is lost by a stop that waits for its record, but an endpoint
that cannot be stopped costs money.
"""

from dataclasses import replace

from parkmeter.core.journal import Kind, new_entry
from parkmeter.core.meter import Meter, Spec, latest_close, time_left
from parkmeter.core.status import View
from parkmeter.errors import DriverError, StoreBusyError
from parkmeter.service.changes import Change, ChangeResult, key_of, replay
from parkmeter.service.reconciler import Reconciler


def eject(reconciler: Reconciler, spec: Spec, wanted: Change, busy: StoreBusyError) -> ChangeResult:
    """Carry out an eject that the store refused with `busy`; the reconciler records it later.

    The leash gets the deadline too, so that it holds without this process.

    Raises:
        ExpiryMovedError, KeyReusedError: refused.
        StoreBusyError: nothing changed: the endpoint cannot be reached either, or there is nothing
            to end, or nowhere to remember it.

    """
    now, driver, unfinished = reconciler.clock.now(), reconciler.driver, reconciler.unfinished
    if unfinished.ejects is None:
        raise busy
    key = key_of(wanted)
    if (first := unfinished.eject_of(spec.name)) is not None:
        # It is ended already. Another entry in the place of the first would lose who ended it.
        if first.key != key:
            raise busy
        return replay(first, wanted.request)
    meter = _meter(reconciler, spec)
    changed = why = None
    if meter is not None:
        changed, why = wanted.rule(meter, now)
        if changed == meter:
            raise busy
    try:
        if meter is None or changed is None:
            driver.stop(spec)
        else:
            driver.keep(spec, latest_close(changed) + spec.drain, meter.version)
    except DriverError:
        raise busy from None
    before = meter or Meter(spec.name)
    after = changed or replace(before, expires_at=now)
    entry = new_entry(
        spec,
        after,
        Kind.EJECT,
        now,
        why or "given up",
        key=key,
        who=wanted.actor.name,
        amount=time_left(after, now) - time_left(before, now),
        request=wanted.request,
    )
    unfinished.ejected(entry)
    if changed is not None:
        reconciler.gate.show(View.of(changed, now))
    reconciler.clock.wake(spec.name)
    return ChangeResult(entry)


def _meter(reconciler: Reconciler, spec: Spec) -> Meter | None:
    try:
        return reconciler.store.load(spec.name)
    except StoreBusyError:
        return None
