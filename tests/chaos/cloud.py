"""Random faults of AWS below the real handlers, on a wound clock.

`python -m tests.chaos.cloud --seed N --hours H` (simulated hours): exit code 1 if a promise was
broken. Every call to AWS may be throttled, time out before or after its effect, or arrive twice; a
function may be killed before or after any call; events may be lost or come twice.
"""

import argparse
import io
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import botocore.endpoint
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

from parkmeter.core.meter import latest_close
from parkmeter.core.money import Minutes
from parkmeter.errors import ParkmeterError
from parkmeter.web.problems import problem_of
from simulator.moto_server import moto_server
from tests.chaos.ledger import LATE, UNRECOVERED, Ledger
from tests.chaos.report import machine, report
from tests.support.aws_life import ADA, FLAN, Life, new_life
from tests.support.wound_sagemaker import Wound

SHARE = 0.1
"""Of all calls, those that a fault hits."""

LATE_AFTER = timedelta(minutes=3)
"""After close and drain: three rounds of the clock may fail, the fourth stops the endpoint."""

RECOVERED_WITHIN = 300
"""Simulated seconds: a start or a stop at SageMaker that is under way, and a round of the clock."""

DRAIN = timedelta(seconds=30)


class KilledError(BaseException):
    """Raised in a function that is killed. No `Exception`: no handler catches it."""


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


@dataclass
class Network:
    """The way to AWS: hooks of botocore, below its retries."""

    chance: random.Random
    fault: str = ""
    hits: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._session = URLLib3Session()

    def watch(self, client: Any) -> None:
        client.meta.events.register("before-send", self._send, unique_id="chaos")

    def _send(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        fault = _CALLS.get(self.fault)
        if fault is None or self.chance.random() >= SHARE:
            return None
        self.hits[self.fault] += 1
        return fault(self._session, request, event_name)


def _throttled(_session: Any, request: Any, event_name: str) -> AWSResponse:
    if ".sns." in event_name:  # speaks XML
        raise ConnectTimeoutError(endpoint_url=request.url)
    body = b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'
    fields = {"content-type": "application/x-amz-json-1.1"}
    return AWSResponse(request.url, 400, fields, _Raw(body))


def _timed_out(_session: Any, request: Any, _event_name: str) -> None:
    raise ConnectTimeoutError(endpoint_url=request.url)


def _answer_lost(session: Any, request: Any, _event_name: str) -> None:
    session.send(request).content  # noqa: B018 (read, so that the connection is kept)
    raise ReadTimeoutError(endpoint_url=request.url)


def _arrives_twice(session: Any, request: Any, _event_name: str) -> None:
    session.send(request).content  # noqa: B018


def _killed_before(_session: Any, _request: Any, event_name: str) -> None:
    raise KilledError(event_name)


def _killed_after(session: Any, request: Any, event_name: str) -> None:
    session.send(request).content  # noqa: B018
    raise KilledError(event_name)


_CALLS: dict[str, Callable[[Any, Any, str], AWSResponse | None]] = {
    "call throttled": _throttled,
    "call timed out": _timed_out,
    "answer lost": _answer_lost,
    "call arrives twice": _arrives_twice,
    "function killed before a call": _killed_before,
    "function killed after a call": _killed_after,
}
LOST_EVENTS, DOUBLED_EVENTS = "events lost", "events come twice"
FAULTS = (*_CALLS, LOST_EVENTS, DOUBLED_EVENTS)


class Chaos:
    """One run on one deployment."""

    def __init__(self, life: Life, network: Network, ledger: Ledger, chance: random.Random) -> None:
        self._life = life
        self._network = network
        self._ledger = ledger
        self._chance = chance
        self._requests = 0
        self._late = False

    def epoch(self, fault: str) -> None:
        """Some minutes of requests under a fault, then none until all is as it should be."""
        self._ledger.fault_begins(fault)
        self._set(fault)
        for _ in range(self._chance.randrange(4, 12)):
            self._request()
            for _ in range(self._chance.randrange(1, 12)):
                self._wind(10)
        self._set("")
        self._ledger.fault_ends()
        seconds = next((n for n in range(RECOVERED_WITHIN) if self._is_consistent()), None)
        if seconds is None:
            self._ledger.breaks(UNRECOVERED, f"{self._life.there()}, {self._life.meter()}")
        else:
            self._ledger.recovered(fault, seconds)
        self._ledger.check(self._journals)

    def _set(self, fault: str) -> None:
        self._network.fault = fault
        self._life.deaf = fault == LOST_EVENTS
        self._life.at_once = 2 if fault == DOUBLED_EVENTS else 1

    def _journals(self) -> dict[str, list[Any]]:
        entries = self._life.deployment.store.journal(FLAN, 100_000)
        return {FLAN: entries[::-1]} if entries else {}

    # ── Requests ─────────────────────────────────────────────────────────────────────────────────

    def _request(self) -> None:
        self._requests += 1
        key, minutes = f"k{self._requests}", self._chance.choice((0.2, 0.5, 1, 3))
        if self._chance.random() < 0.2:
            self._try("eject", lambda: self._life.service().eject(FLAN, ADA, key))
            return
        for _ in range(5):
            top_up = lambda: self._life.service().top_up(FLAN, Minutes.of(minutes), ADA, key)  # noqa: E731
            if self._try("top-up", top_up):
                self._ledger.acknowledged(FLAN, key, minutes)
                return
            self._wind(2)

    def _try(self, request: str, call: Callable[[], object]) -> bool:
        """Make a request of the control function; return whether it was acknowledged."""
        try:
            call()
        except KilledError:
            self._ledger.unanswered(request)
            return False
        except ParkmeterError as error:
            self._ledger.answered(request, problem_of(error).status, error.code)
            return False
        except Exception as error:  # noqa: BLE001 (counted)
            self._ledger.answered(request, 500, type(error).__name__, str(error).encode())
            return False
        self._ledger.answered(request, 200)
        return True

    # ── What must hold ───────────────────────────────────────────────────────────────────────────

    def _wind(self, seconds: int) -> None:
        for _ in range(seconds):
            self._life.wind(seconds=1)
        fault, self._network.fault = self._network.fault, ""
        over = self._life.now - latest_close(self._life.meter()) - DRAIN
        late = over > LATE_AFTER and "InService" in self._life.there().values()
        if late and not self._late:
            self._ledger.breaks(LATE, f"in service {over} after close and drain")
        self._late = late
        self._network.fault = fault

    def _is_consistent(self) -> bool:
        """Wind a second; return whether exactly the open meter has an endpoint."""
        self._life.wind(seconds=1)
        is_open = self._life.now < latest_close(self._life.meter())
        return is_open == bool(self._life.there())


@contextmanager
def deployment(moto: str, network: Network) -> Iterator[Life]:
    """Yield a deployment whose calls pass the network; its retries take no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None))
        with new_life(moto, Wound(), patch) as life:
            for client in (life.deployment.dynamodb, life.deployment.ssm, life.sns):
                network.watch(client)
            network.watch(life.sagemaker.client())
            runs = life._clock_runs

            def survived(event: dict[str, Any]) -> None:
                """Run the clock's function; EventBridge does not repeat one that has failed."""
                with suppress(KilledError, Exception):
                    runs(event)

            patch.setattr(life, "_clock_runs", survived)
            yield life


def run(seed: int, hours: float) -> tuple[Ledger, Counter[str], Counter[str]]:
    """Run for these simulated hours; return the ledger, the epochs of each fault, and its hits."""
    ledger, epochs, chance = Ledger(), Counter[str](), random.Random(seed)
    network = Network(random.Random(f"{seed}/calls"))
    with moto_server() as moto, deployment(moto, network) as life:
        until = life.now + timedelta(hours=hours)
        chaos = Chaos(life, network, ledger, chance)
        while life.now < until:
            for fault in chance.sample(FAULTS, len(FAULTS)):
                chaos.epoch(fault)
                epochs[fault] += 1
        life.eject()
        life.wind(minutes=10)
        if left := life.there():
            ledger.breaks(LATE, f"after the end: {left}")
    return ledger, epochs, network.hits


def main() -> None:
    """Run as the command line says, and print the table."""
    flags = argparse.ArgumentParser(prog="python -m tests.chaos.cloud", description=__doc__)
    flags.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    flags.add_argument("--hours", type=float, default=4)
    given = flags.parse_args()
    command = f"python -m tests.chaos.cloud --seed {given.seed} --hours {given.hours:g}"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}: {command}", flush=True)
    ledger, epochs, hits = run(given.seed, given.hours)
    print(report(ledger, epochs))
    print("\n".join(f"{count} calls: {fault}" for fault, count in hits.items()))
    sys.exit(bool(ledger.broken))


if __name__ == "__main__":
    main()
