"""A driver without endpoints, for tests, demos and rehearsals of provider failures.

It keeps the driver's contract in memory, on the clock that it is given, and can be scripted to be
slow, to fail, to refuse and to get stuck. It knows nothing of meters.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from parkmeter.core.decision import Cause, Observed
from parkmeter.core.meter import ZERO, Phase, Spec
from parkmeter.errors import DriverError

HEAD_START = timedelta(seconds=0.5)
"""Delay after a deadline, as in the process driver's leash: time to move it for a drain."""

ALIVE = (Phase.STARTING, Phase.READY, Phase.BUSY)


@dataclass(frozen=True, slots=True)
class Call:
    """One call with an effect: `method` is start, keep or stop."""

    at: datetime
    method: str
    name: str
    variant: str | None = None
    until: datetime | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class _Failure:
    reason: str
    cause: Cause


@dataclass(slots=True)
class _Endpoint:
    """State of one endpoint. `then` replaces `seen` at `then_at`, unless it is stuck."""

    seen: Observed
    then: Observed | None = None
    then_at: datetime | None = None
    until: datetime | None = None
    version: int = 0
    stuck: bool = False


@dataclass(slots=True)
class _Refusals:
    """Number of calls that a method still refuses, and the reason that it raises."""

    times: int
    reason: str


@dataclass
class FakeDriver:
    """`ports.Driver` in memory; may be used from any thread.

    `now` returns the time. A start takes `start_takes`, a stop `stop_takes`. With `leash` an
    endpoint stops when its deadline passes, as under the process driver; without, it goes on, as on
    AWS. `calls` lists all calls with an effect, also refused ones; `lives` counts the starts of
    each endpoint.
    """

    now: Callable[[], datetime]
    start_takes: timedelta = timedelta(seconds=1)
    stop_takes: timedelta = timedelta(seconds=1)
    leash: bool = True
    addresses: Mapping[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    lives: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._endpoints: dict[str, _Endpoint] = {}
        self._next_failures: dict[str, list[_Failure]] = {}
        self._refusals: dict[tuple[str, str], _Refusals] = {}

    # ── The driver ───────────────────────────────────────────────────────────────────────────────

    def observe(self, spec: Spec) -> Observed:
        """Return the present state."""
        with self._lock:
            self._refuse_if_scripted("observe", spec.name)
            return self._present(spec.name).seen

    def start(self, spec: Spec, variant: str, until: datetime, version: int) -> None:
        """Begin to start the endpoint."""
        with self._lock:
            self._record("start", spec.name, variant=variant, until=until, version=version)
            endpoint = self._present(spec.name)
            if endpoint.seen.phase is not Phase.ABSENT:
                self._keep(endpoint, until, version)
                return
            endpoint.until, endpoint.version = until, version
            self.lives[spec.name] += 1
            failures = self._next_failures.get(spec.name)
            if failures:
                failure = failures.pop(0)
                then = Observed(Phase.FAILED, failure.reason, cause=failure.cause)
            else:
                address = self.addresses.get(spec.name, f"http://{spec.name}.test")
                then = Observed(Phase.READY, address=address)
            self._go(endpoint, Observed(Phase.STARTING, "starting"), then, self.start_takes)

    def keep(self, spec: Spec, until: datetime, version: int) -> None:
        """Move the deadline."""
        with self._lock:
            self._record("keep", spec.name, until=until, version=version)
            self._keep(self._present(spec.name), until, version)

    def stop(self, spec: Spec) -> None:
        """Begin to stop the endpoint, or to clear a failed one.

        Raises:
            DriverError: it is busy, or the call is scripted to be refused.

        """
        with self._lock:
            self._record("stop", spec.name)
            endpoint = self._present(spec.name)
            if endpoint.seen.phase is Phase.BUSY:
                raise DriverError("It is being updated and cannot be stopped now.")
            if endpoint.seen.phase not in (Phase.ABSENT, Phase.STOPPING):
                self._stop(endpoint, self.now(), "stopped")

    def owned(self) -> list[str]:
        """Return the names of all endpoints that are not absent."""
        with self._lock:
            self._refuse_if_scripted("owned", "")
            return [
                name
                for name in sorted(self._endpoints)
                if self._present(name).seen.phase is not Phase.ABSENT
            ]

    # ── The script ───────────────────────────────────────────────────────────────────────────────

    def fail_next_start(self, name: str, reason: str, cause: Cause = Cause.OTHER) -> None:
        """Make the next start end `failed` instead of ready; each call adds one start."""
        with self._lock:
            self._next_failures.setdefault(name, []).append(_Failure(reason, cause))

    def refuse(self, method: str, name: str = "", times: int = 1, reason: str = "refused") -> None:
        """Make `method` raise DriverError the next `times` times, without any effect."""
        with self._lock:
            self._refusals[method, name] = _Refusals(times, reason)

    def crash(self, name: str, reason: str, cause: Cause = Cause.OTHER) -> None:
        """Make the endpoint fail at once, whatever its phase."""
        self.show(name, Phase.FAILED, reason, cause)

    def vanish(self, name: str) -> None:
        """Make the endpoint absent, without a call to stop."""
        self.show(name, Phase.ABSENT)

    def show(self, name: str, phase: Phase, reason: str = "", cause: Cause = Cause.OTHER) -> None:
        """Put the endpoint into this phase, which it keeps until the next call with an effect."""
        with self._lock:
            endpoint = self._present(name)
            address = self.addresses.get(name, f"http://{name}.test")
            serves = phase in (Phase.READY, Phase.BUSY)
            seen = Observed(phase, reason, address=address if serves else None, cause=cause)
            self._go(endpoint, seen)

    def stick(self, name: str) -> None:
        """Stop all transitions by time: the endpoint stays in its phase, and in later ones."""
        with self._lock:
            self._present(name).stuck = True

    def unstick(self, name: str) -> None:
        """Resume transitions by time; those that came due meanwhile are made at their times."""
        with self._lock:
            self._present(name).stuck = False

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────

    def _record(
        self,
        method: str,
        name: str,
        *,
        variant: str | None = None,
        until: datetime | None = None,
        version: int | None = None,
    ) -> None:
        self.calls.append(Call(self.now(), method, name, variant, until, version))
        self._refuse_if_scripted(method, name)

    def _refuse_if_scripted(self, method: str, name: str) -> None:
        refusals = self._refusals.get((method, name))
        if refusals and refusals.times > 0:
            refusals.times -= 1
            raise DriverError(refusals.reason)

    def _present(self, name: str) -> _Endpoint:
        """Return the endpoint after all transitions due by now, made in order."""
        endpoint = self._endpoints.setdefault(name, _Endpoint(Observed(Phase.ABSENT)))
        now = self.now()
        while not endpoint.stuck:
            due = endpoint.then_at
            on_leash = endpoint.until is not None and self._is_on_leash(endpoint)
            cut_off = endpoint.until + HEAD_START if on_leash and endpoint.until else None
            if cut_off is not None and cut_off <= now and (due is None or cut_off < due):
                self._stop(endpoint, cut_off, "time used up; stopped by its leash")
            elif due is not None and due <= now and endpoint.then is not None:
                self._go(endpoint, endpoint.then, at=due)
            else:
                break
        return endpoint

    def _is_on_leash(self, endpoint: _Endpoint) -> bool:
        return self.leash and endpoint.seen.phase in ALIVE

    def _keep(self, endpoint: _Endpoint, until: datetime, version: int) -> None:
        if version >= endpoint.version:
            endpoint.until, endpoint.version = until, version

    def _stop(self, endpoint: _Endpoint, at: datetime, reason: str) -> None:
        gone = Observed(Phase.ABSENT, reason)
        self._go(endpoint, Observed(Phase.STOPPING, "stopping"), gone, self.stop_takes, at)

    def _go(
        self,
        endpoint: _Endpoint,
        phase: Observed,
        then: Observed | None = None,
        after: timedelta = ZERO,
        at: datetime | None = None,
    ) -> None:
        moment = at or self.now()
        endpoint.seen = replace(phase, since=moment)
        endpoint.then, endpoint.then_at = then, None if then is None else moment + after
