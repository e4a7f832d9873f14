"""Promises of the meter, checked at each effect and after every step.

The ledger is a second, simple account: every commit that took effect, in order. What the store has
must equal it; what the driver is asked for must follow from it.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from parkmeter.core.decide_closed import PUT_OFF
from parkmeter.core.device import Claim
from parkmeter.core.elapsed import TOLERANCE
from parkmeter.core.journal import KEY_LIFETIME, SYSTEM, Entry, Kind
from parkmeter.core.meter import ZERO, Meter, Phase, Spec, is_open, is_over, latest_close
from parkmeter.drivers.fake import ALIVE
from parkmeter.ports import Budget, Store, UnrecordedEjects
from tests.simulation.scheduler import Crash, Scheduler
from tests.simulation.watched_driver import WatchedDriver

SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
A_UNIT = Decimal("0.0001")

LATE, LATE_IF_UNHEARD = 3 * SECOND, 66 * SECOND
"""The longest a closed meter's endpoint may go without an order to stop, counted from when nothing
hinders it: a retry comes each second; a lost event is made up for by the sweep, each minute."""


ENOUGH = 3
"""Broken promises of one step: the others follow from them."""

MOST_DRAIN = timedelta(minutes=1)
"""Of an endpoint that was removed from the configuration, which the removal says no more."""


class Violation(AssertionError):  # noqa: N818
    """Raised after a step in which a promise was broken."""


class Invariants:
    """The ledger, and what is judged by it. `violations` grows; nothing is raised in here.

    `exclusive`: one process reconciles, each endpoint by one thread at a time.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        time: Callable[[], datetime],
        elapsed: Callable[[], timedelta],
        *,
        exclusive: bool,
        ejects: UnrecordedEjects,
    ) -> None:
        self.violations: list[str] = []
        self.meters: dict[str, Meter] = {}
        self.journal: dict[str, list[Entry]] = {}
        self.steps_back = 0
        self.driver: WatchedDriver
        self._scheduler = scheduler
        self._time = time
        self._elapsed = elapsed
        self._exclusive = exclusive
        self._ejects = ejects
        self._keys: dict[tuple[str, str], Entry] = {}
        self._bought: dict[str, tuple[timedelta, timedelta]] = {}
        """Since when a meter is open, in elapsed time, and the time bought and credited since.
        None of one that holds a window's time, which is wall time."""
        self._changed: set[str] = set()
        self._started: set[tuple[str, int]] = set()
        self._on_device: dict[str, str | None] = {}
        self._undelivered: dict[str, Any] = {}
        self.unkept: set[str] = set()
        """Endpoints whose last deadline did not reach the driver."""
        self._shortened: dict[str, Any] = {}
        self._drains: dict[str, timedelta] = {}
        """The drain as configured when the last deadline reached the driver."""
        self._living: dict[str, bool] = {}
        self.sequence: list[Entry] = []
        self._overdue_since: dict[str, timedelta] = {}
        self._faults = 0
        self._unheard_until = ZERO
        self.used_at: dict[str, datetime] = {}
        """When each endpoint answered its last prompt; now, as long as it answers one."""

    def entry(self, name: str, key: str) -> Entry | None:
        """Return the newest committed entry with this key."""
        return self._keys.get((name, key))

    def fail(self, text: str) -> None:
        """Record a broken promise."""
        if len(self.violations) < ENOUGH:
            self.violations.append(text)

    # ── At each effect ───────────────────────────────────────────────────────────────────────────

    def committed(
        self,
        committed: Meter,
        entries: Sequence[Entry],
        budget: Budget | None,
        claim: Claim | None,
    ) -> None:
        """Enter a commit that took effect."""
        name = committed.name
        before = self.meters.get(name, Meter(name))
        if committed.version != before.version + 1:
            self.fail(f"{name}: v{committed.version} was committed over v{before.version}")
        lines = self.journal.setdefault(name, [])
        expiry, over = before.expires_at, is_over(before)
        for entry in entries:
            known = self._keys.get((name, entry.key))
            if known is not None and known.at > entry.at - KEY_LIFETIME:
                self.fail(f"{name}: journaled twice: {entry.key}")
            self._keys[name, entry.key] = entry
            if problem := wrong_expiry(expiry, entry, over=over):
                self.fail(f"{name}: {problem}: {entry}")
            self._follow_life(entry)
            self._buy(before, committed, entry)
            if entry.key.startswith("idle:"):
                self._idle(entry)
            expiry = entry.expires_at
            lines.append(entry)
            self.sequence.append(entry)
        if committed.expires_at != expiry:
            self.fail(
                f"{name}: v{committed.version} expires at {committed.expires_at}, and its journal "
                f"says {expiry}"
            )
        self.meters[name] = committed
        self._changed.add(name)
        task = self._scheduler.current
        if task is not None:
            task.facts.setdefault("intents", {})[name] = committed, task.facts["now"]
            if latest_close(committed) > latest_close(before):
                self._undelivered[name] = task
            if claim is not None and not is_open(before, task.facts["now"]):
                self._claimed(committed, claim.device)

    def refused(self, decided: Meter) -> None:
        """Note a commit that the store did not take: a stop is carried out all the same."""
        if (task := self._scheduler.current) is not None and "now" in task.facts:
            task.facts.setdefault("intents", {})[decided.name] = decided, task.facts["now"]

    def read(self, meter: Meter) -> None:
        """Note a meter that was read: an intent that goes by an older one is void."""
        if (task := self._scheduler.current) is not None:
            own, _ = task.facts.get("intents", {}).get(meter.name, (meter, None))
            if own.version < meter.version:
                del task.facts["intents"][meter.name]

    def kept(self, spec: Spec) -> None:
        """Note a deadline that reached the driver."""
        name = spec.name
        self.unkept.discard(name)
        self._drains[name] = spec.drain
        until = self.driver._endpoints[name].until
        meter = self.meters.get(name, Meter(name))
        if until is not None and until >= latest_close(meter):
            self._undelivered.pop(name, None)
            self._shortened.pop(name, None)
        else:
            self._shortened[name] = self._scheduler.current

    def starting(self, spec: Spec, version: int) -> None:
        """Judge a start that is about to take effect."""
        name, task = spec.name, self._scheduler.current
        own, at = task.facts.get("intents", {}).get(name, (None, None))
        if own is None or own.version != version:
            self.fail(f"{name}: started by {task} without having committed v{version}")
        elif not is_open(own, at):
            self.fail(f"{name}: started with no time on its meter: {own}")
        if (name, version) in self._started:
            self.fail(f"{name}: v{version} was started twice")
        self._started.add((name, version))
        if not self._exclusive:
            return
        if spec.device is not None:
            for other in self.driver.present():
                if other != name and self._on_device.get(other) == spec.device:
                    self.fail(f"{name}: started on {spec.device} while {other} is on it")
        self._on_device[name] = spec.device

    def stopping(self, spec: Spec) -> None:
        """Judge a stop that is about to take effect: by the newest meter, and nothing is left."""
        task = self._scheduler.current
        own, _ = task.facts.get("intents", {}).get(spec.name, (None, None))
        if own is None:
            if not self._is_ejected(spec.name):
                self.fail(f"{spec.name}: stopped by {task} without an intent")
        elif (
            is_open(own, task.facts["now"])
            and own.run.phase is not Phase.FAILED
            and own.run.reason not in PUT_OFF
        ):
            self.fail(f"{spec.name}: stopped by {task} with time left at v{own.version}: {own}")

    def cut_off(self, name: str, until: datetime) -> None:
        """Judge an end by the leash: its deadline was the meter's."""
        meter = self.meters.get(name, Meter(name))
        shortened = self._shortened.get(name)  # before its commit, which it did not come to
        excused = shortened is not None and (
            not shortened.done or isinstance(shortened.error, Crash)
        )
        excused |= name in self._undelivered or name in self.unkept
        excused |= self._ejects.of(name) is not None
        if latest_close(meter) > until and not excused:
            self.fail(f"{name}: cut off at {until}, its meter closes at {latest_close(meter)}")

    def acknowledged(self, name: str, task: Any) -> None:
        """Judge a change whose caller was answered: its deadline has reached the leash."""
        if not self.driver.leash or self._undelivered.get(name) is not task:
            return
        if name in self.unkept:  # its driver could not be reached; the clock tries again
            return
        endpoint = self.driver._present(name)
        if endpoint.seen.phase in ALIVE:
            self.fail(
                f"{name}: acknowledged with {self.meters[name].expires_at}, while its leash has "
                f"{endpoint.until}"
            )
        del self._undelivered[name]  # from now on it is promised

    # ── After every step ─────────────────────────────────────────────────────────────────────────

    def compare(self, store: Store, names: Collection[str]) -> None:
        """Compare the store with the ledger: all meters, and the journals that have grown."""
        for name, stored in store.meters(sorted(names)).items():
            known = self.meters.get(name, Meter(name))
            if stored != known:
                self.fail(f"{name}: stored as {stored}, committed as {known}")
        for name in sorted(self._changed):
            lines = self.journal[name]
            fresh = store.journal(name, 8)[::-1]
            numbers = [entry.number for entry in fresh]
            if numbers != list(range(max(0, len(lines) - 8) + 1, len(lines) + 1)):
                self.fail(f"{name}: {len(lines)} lines were committed, the last are {numbers}")
            for entry, known in zip(fresh, lines[-len(fresh) :], strict=False):
                if not same(entry, known):
                    self.fail(f"{name}: stored as {entry}, committed as {known}")
        self._changed.clear()

    def time_passed(self, hindered: Collection[str], specs: Mapping[str, Spec]) -> None:
        """Judge what should have been stopped by now.

        `hindered`: names that something keeps from being reconciled or stopped, such as a gateway
        that is down.
        """
        now, elapsed = self._time(), self._elapsed()
        if self._faults != self._scheduler.faults:  # what failed is repeated by the next sweep
            self._faults = self._scheduler.faults
            self._overdue_since.clear()
            self._unheard_until = elapsed + LATE_IF_UNHEARD
        for name in self.driver.present():
            meter = self.meters.get(name, Meter(name))
            spec = specs.get(name, Spec(name))
            phase = self.driver._present(name).seen.phase
            ordered = phase in (Phase.STOPPING, Phase.BUSY)
            due = now >= self._close(meter) + spec.drain or name not in specs
            due |= self._is_used_up(name, spec)
            if ordered or not due or name in hindered:
                self._overdue_since.pop(name, None)
                continue
            since = self._overdue_since.setdefault(name, elapsed)
            heard = self._exclusive and elapsed > self._unheard_until
            bound = LATE if heard else LATE_IF_UNHEARD
            bound += MOST_DRAIN if name not in specs else ZERO
            if elapsed - since > bound:
                self.fail(
                    f"{name}: {phase} although its meter closed at {self._close(meter)} and "
                    f"nothing has kept it from being stopped for {elapsed - since}"
                )
        self._judge_leashes(now, specs)
        for name in set(self._overdue_since) - set(self.driver.present()):
            del self._overdue_since[name]

    def _judge_leashes(self, now: datetime, specs: Mapping[str, Spec]) -> None:
        """Judge what lives on although its meter has closed: its leash needs no gateway."""
        for name in self.driver.present() if self.driver.leash else ():
            endpoint = self.driver._present(name)
            meter = self.meters.get(name, Meter(name))
            drain = self._drains[name] if name in specs else MOST_DRAIN
            excused = endpoint.stuck or name in self.unkept or self._scheduler.held_up
            alive = endpoint.seen.phase in ALIVE
            if alive and not excused and now > self._close(meter) + drain + LATE:
                self.fail(
                    f"{name}: {endpoint.seen.phase} until {endpoint.until} by its leash, and its "
                    f"meter closed at {self._close(meter)}"
                )

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────

    def _is_ejected(self, name: str) -> bool:
        """Return whether an endpoint is to be gone by an eject that is yet to be recorded."""
        ejects = self._scheduler.current.title.split(": ")[1].startswith(f"eject {name}")
        return ejects or self._ejects.of(name) is not None

    def _close(self, meter: Meter) -> datetime:
        """Return when a meter closes, also by an eject that is yet to be recorded."""
        eject, close = self._ejects.of(meter.name), latest_close(meter)
        if eject is None or meter.opened_at > eject.at:
            return close
        return min(eject.at, close)

    def _buy(self, before: Meter, committed: Meter, entry: Entry) -> None:
        """Add up what was bought since a meter was opened."""
        name = committed.name
        if committed.windows_until != before.windows_until and entry.key.startswith("hours"):
            self._bought.pop(name, None)
        elif entry.kind not in {Kind.TOP_UP, Kind.EDIT}:
            pass
        elif committed.opened_at != before.opened_at:
            self._bought[name] = self._elapsed(), entry.amount + committed.credit_left
        elif name in self._bought:
            since, bought = self._bought[name]
            self._bought[name] = since, bought + entry.amount

    def _is_used_up(self, name: str, spec: Spec) -> bool:
        """Return whether more time has passed than was bought, whatever the clock was set to."""
        if name not in self._bought or not self._exclusive:
            return False
        since, bought = self._bought[name]
        return self._elapsed() - since > bought + spec.drain + 2 * TOLERANCE

    def _follow_life(self, entry: Entry) -> None:
        """Judge starts, readiness and stops by what came before them."""
        name = entry.endpoint
        living = self._living.get(name, False)
        match entry.kind:
            case Kind.START:
                self._living[name] = True
            case Kind.READY:
                self._living[name] = True
            case Kind.STOP if entry.key.startswith("unstarted:"):
                pass
            case Kind.STOP:
                if not living and self._exclusive:
                    self.fail(f"{name}: a stop is journaled that nothing was started for: {entry}")
                self._living[name] = False
            case _:
                pass

    def _idle(self, entry: Entry) -> None:
        """Judge an end for idleness: nothing has prompted it for so long."""
        task, used_at = self._scheduler.current, self.used_at.get(entry.endpoint)
        if self.steps_back or task.facts.get("held up") or used_at is None:
            return
        idle = task.owner.specs[entry.endpoint].idle
        if idle is None or entry.at - used_at < idle:
            self.fail(f"{entry.endpoint}: ended as idle after {entry.at - used_at}: {entry}")

    def _claimed(self, committed: Meter, device: str) -> None:
        """Judge a meter that was opened on a device: no other open meter is configured for it."""
        task = self._scheduler.current
        if (
            task.facts["steps_back"] != self.steps_back
            or task.facts["reloads"] != task.owner.reloads
        ):
            return  # it went by a time or a configuration that is over
        for name, spec in task.owner.specs.items():
            other = self.meters.get(name)
            if name == committed.name or other is None or spec.device != device:
                continue
            if is_open(other, task.facts["now"]):
                self.fail(f"{committed.name}: opened on {device} while {name} is open")


def wrong_expiry(before: datetime, entry: Entry, *, over: bool) -> str | None:
    """Return what is wrong with an entry's expiry, given the one before it; None if nothing.

    `over`: the meter had closed, whatever the clock has been set to since.
    """
    after, amount, at = entry.expires_at, entry.amount, entry.at
    match entry.kind:
        case Kind.TOP_UP if entry.key.startswith("hours:"):
            right = after > at
        case Kind.TOP_UP:
            right = amount > ZERO and after in (
                {before + amount} if before > at and not over else {before + amount, at + amount}
            )
        case Kind.CREDIT:
            right = amount > ZERO and after == before + amount
        case Kind.CLOCK if entry.key.startswith("clock-set:"):
            right = after == before + amount
        case Kind.EJECT | Kind.REMOVE:
            right = after in {at, before} and amount <= ZERO
        case Kind.EDIT if entry.who == SYSTEM:
            right = amount <= ZERO and after <= before
        case Kind.EDIT:
            right = True
        case _:
            right = after == before and amount == ZERO
    return None if right else f"the expiry was {before}"


def same(stored: Entry, committed: Entry) -> bool:
    """Return whether a stored entry is the committed one, which has no number yet."""
    fields = type(stored).__dataclass_fields__
    return all(
        getattr(stored, name) == getattr(committed, name) for name in fields if name != "number"
    )


# ── Money ───────────────────────────────────────────────────────────────────────────────────────


def cost_by_hand(lines: Sequence[Entry], price: Decimal | None, end: datetime) -> Fraction | None:
    """Return the cost of a journal in dollars, life by life; None if a price is unknown.

    For journals of a clock that never went back.
    """
    lives: list[list[datetime]] = []
    prices: list[tuple[datetime, Decimal | None]] = []
    on = False
    for line in lines:
        if line.price_per_hour is not None or line.kind not in {Kind.CLOCK, Kind.REMOVE}:
            prices.append((max(line.at, prices[-1][0]) if prices else line.at, line.price_per_hour))
        gone = line.kind is Kind.STOP or (
            line.kind is Kind.FAILURE and not line.key.startswith("trouble:")
        )
        if on and (gone or line.kind is Kind.START):
            lives[-1][1] = max(line.at, lives[-1][0])
            on = False
        if not on and line.kind in {Kind.START, Kind.READY}:
            lives.append([max(line.at, lives[-1][1]) if lives else line.at, end])
            on = True
    total = Fraction(0)
    for begin, until in lives:
        for since, before, present in steps(prices, price, begin, min(until, end)):
            if present is None:
                return None
            total += Fraction((before - since) // MICROSECOND) * Fraction(present)
    return total / 3_600_000_000


def steps(
    prices: Sequence[tuple[datetime, Decimal | None]],
    price: Decimal | None,
    begin: datetime,
    end: datetime,
) -> Iterator[tuple[datetime, datetime, Decimal | None]]:
    """Yield the pieces of a period, each with the price that holds in it."""
    present = prices[0][1] if prices else price
    at = begin
    for since, one in prices:
        if since <= at:
            present = one
        elif since < end:
            yield at, since, present
            at, present = since, one
    if at < end:
        yield at, end, present
