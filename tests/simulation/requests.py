"""Changes that people ask for, and the judgement of every answer they get.

A request keeps its key when it is sent again. What was acknowledged must be in the ledger as it was
answered; what was refused must not; what was killed may be, once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from parkmeter.core.journal import KEY_LIFETIME, Entry, Kind
from parkmeter.core.meter import ZERO
from parkmeter.core.money import Dollars, Minutes, dollars_from, units_of
from parkmeter.errors import (
    DriverError,
    KeyReusedError,
    OverBudgetError,
    ParkmeterError,
    UnknownEndpointError,
)
from parkmeter.service.changes import Actor, ChangeResult
from parkmeter.service.meters import MeterService
from tests.simulation.invariants import same
from tests.simulation.scheduler import Crash, LostReply, Task
from tests.simulation.world import Gateway, World

ADA = Actor("a1", "ada")
BOB = Actor("b2", "bob")
CLEO = Actor("c3", "cleo", minutes_per_day=45.0)
ACTORS = (ADA, BOB, CLEO)


@dataclass
class Request:
    """One request. `maybe`: it was killed, or its reply was lost, and it may have taken effect.

    `unrecorded`: the answer to an eject that the store could not record yet.
    """

    title: str
    endpoint: str
    actor: Actor
    key: str | None
    send: Callable[[MeterService], ChangeResult]
    amount: Minutes | Dollars | timedelta | None = None
    answer: Entry | None = None
    unrecorded: Entry | None = None
    maybe: bool = False


@dataclass
class Requests:
    """All requests of a history; `unanswered` are those that their callers send again."""

    world: World
    sent: list[Request] = field(default_factory=list)

    def send(self, request: Request, gateway: Gateway) -> None:
        """Send a request, perhaps not for the first time."""
        if request in self.sent:
            request.maybe = request.maybe or request.answer is None  # the first may be under way
        else:
            self.sent.append(request)
        self.world.do(
            gateway,
            request.title,
            lambda: request.send(gateway.service),
            lambda task: self._judge(request, task),
            risk=3.0,
        )

    def unanswered(self) -> list[Request]:
        """Return the requests whose callers do not know what became of them."""
        return [one for one in self.sent[-50:] if one.maybe and one.answer is None]

    def _judge(self, request: Request, task: Task) -> None:
        match task.error:
            case None:
                self._acknowledged(request, task)
            case Crash() | LostReply() | DriverError():
                request.maybe = True
            case UnknownEndpointError():
                pass
            case ParkmeterError():
                self._refused(request, task.error, task)
            case _:
                self.world.judge(task)

    def _acknowledged(self, request: Request, task: Task) -> None:
        fail, name, result = self.world.checks.fail, request.endpoint, task.result
        self.world.note(
            f"    answered: {result.entry.kind} {result.entry.expires_at} "
            f"{'again' * result.replayed}"
        )
        entry = result.entry
        if entry == self.world.ejects.of(name):
            request.unrecorded = entry  # to be journaled when the store takes it
            return
        known = self.world.checks.entry(name, entry.key)
        if known is None or not same(entry, known):
            fail(f"{request.title}: acknowledged {entry}, journaled {known}")
            return
        first = request.answer
        recent = first is not None and self.world.time - first.at < KEY_LIFETIME - timedelta(days=1)
        if recent and not same(first, entry):
            fail(f"{request.title}: answered {first}, then {entry}")
        if request.unrecorded is not None and entry.at != request.unrecorded.at:
            fail(f"{request.title}: answered {request.unrecorded}, then {entry}")
        if result.replayed and not (first or request.unrecorded or request.maybe):
            fail(f"{request.title}: a first request counts as repeated")
        request.answer = entry
        self._amount(request, entry)
        self._budget(request.actor, entry.at.date())
        if not result.replayed:
            self.world.checks.acknowledged(name, task)

    def _amount(self, request: Request, entry: Entry) -> None:
        """Check that what was asked for is what was added."""
        fail = self.world.checks.fail
        match request.amount:
            case Minutes(amount) if entry.amount != amount:
                fail(f"{request.title}: {amount} were asked for, {entry.amount} added")
            case timedelta() if entry.amount != request.amount:
                fail(f"{request.title}: {request.amount} were offered, {entry.amount} added")
            case Dollars(dollars):
                worth = dollars_from(units_of(entry.amount, entry.price_per_hour))
                if worth != dollars:
                    fail(f"{request.title}: {dollars} were paid for time worth {worth}")
            case None if entry.kind is Kind.EJECT and entry.amount > ZERO:
                fail(f"{request.title}: an eject added {entry.amount}")
            case _:
                pass

    def _refused(self, request: Request, error: ParkmeterError, task: Task) -> None:
        fail, now = self.world.checks.fail, self.world.time
        self.world.note(f"    refused: {type(error).__name__}")
        if request.key is None or request.maybe or request.answer is not None:
            return
        known = self.world.checks.entry(request.endpoint, f"{request.actor.id}:{request.key}")
        fresh = known is not None and now - known.at < KEY_LIFETIME - timedelta(days=1)
        if fresh and not isinstance(error, KeyReusedError):
            fail(f"{request.title}: refused ({error}), and journaled: {known}")
        if isinstance(error, KeyReusedError) and not fresh:
            fail(f"{request.title}: its key counts as used, and is not in the journal")
        if isinstance(error, OverBudgetError) and isinstance(request.amount, Minutes):
            minutes = request.amount.amount.total_seconds() / 60
            self._budget(request.actor, task.facts["now"].date(), minutes)

    def _budget(self, actor: Actor, day: date, refused: float = 0.0) -> None:
        """Check a token's minutes of a day; `refused` ones would have been too many."""
        limit, fail = actor.minutes_per_day, self.world.checks.fail
        if limit is None:
            return
        spent = sum(
            line.amount.total_seconds() / 60
            for line in self.world.checks.sequence
            if line.who == actor.name and line.amount > ZERO and line.at.date() == day
        )
        if spent > limit + 1e-6:
            fail(f"{actor.name}: {spent} of {limit} minutes on {day}")
        if refused and spent + refused < limit - 1e-6:
            fail(f"{actor.name}: {refused} min were refused after {spent} of {limit} min")
