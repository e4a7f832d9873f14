"""The stored form of marks (`core.ledger`): short JSON, as a mark may name thousands of buyers.

Moments and times are whole microseconds, moments since 1970, and prices are text. Standard library
only.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from parkmeter.core.ledger import Mark, Price, PricedRun, Sums, Times
from parkmeter.core.meter import NEVER, Status
from parkmeter.core.status_history import Showing
from parkmeter.core.timeline import RunSpan, Standing

_MICROSECOND = timedelta(microseconds=1)


def body_of(mark: Mark) -> str:
    """Return a mark without its runs."""
    sums, standing, showing = mark.sums, mark.standing, mark.showing
    document: dict[str, Any] = {
        "number": mark.number,
        "at": _number(mark.at),
        "origin": _number(mark.origin),
        "on": [[who, _text(price), time // _MICROSECOND] for (who, price), time in sums.on.items()],
        "whole": _times(sums.whole),
        "bought": [[who, time // _MICROSECOND] for who, time in sums.bought.items()],
        "run_time": _times(sums.run),
        "lived": None if sums.lived is None else _times(sums.lived),
        "showing": [
            _number(showing.since),
            showing.status.value,
            showing.reason,
            _number(showing.closes),
        ],
        "run": None if mark.run is None else _span(mark.run),
    }
    if standing is not None:
        document["standing"] = {
            "price": _text(standing.price),
            "owner": standing.owner,
            "queue": [[who, _number(until)] for who, until in standing.queue],
            "starting": standing.starting,
            "seen": _number(standing.seen),
        }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def runs_of(mark: Mark) -> str | None:
    """Return the runs of a mark, None without any."""
    if not mark.runs:
        return None
    rows = [[*_span(run.span), _times(run.time)] for run in mark.runs]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def read_mark(body: str, runs: str | None, *, lasting: bool) -> Mark:
    """Return the mark that was written."""
    document = json.loads(body)
    run = None if document["run"] is None else _span_from(document["run"])
    standing, since_status = document.get("standing"), document["showing"]
    since, status, reason, closes = since_status
    return Mark(
        number=document["number"],
        at=_moment(document["at"]),
        origin=_moment(document["origin"]),
        sums=Sums(
            on={(who, _price(price)): time * _MICROSECOND for who, price, time in document["on"]},
            whole=_times_from(document["whole"]),
            bought={who: time * _MICROSECOND for who, time in document["bought"]},
            run=_times_from(document["run_time"]),
            lived=None if document["lived"] is None else _times_from(document["lived"]),
        ),
        standing=None if standing is None else _standing(standing, run),
        showing=Showing(_moment(since), Status(status), reason, _moment(closes)),
        run=run,
        runs=tuple(read_runs(runs)),
        lasting=lasting,
    )


def read_runs(runs: str | None) -> Iterable[PricedRun]:
    """Yield the runs that were written."""
    for started, ended, variant, times in json.loads(runs) if runs else ():
        yield PricedRun(_span_from((started, ended, variant)), _times_from(times))


def _standing(document: Mapping[str, Any], run: RunSpan | None) -> Standing:
    return Standing(
        run=run,
        price=_price(document["price"]),
        priced=True,  # or there were no mark
        owner=document["owner"],
        queue=tuple((who, _moment(until)) for who, until in document["queue"]),
        starting=document["starting"],
        seen=_moment(document["seen"]),
    )


def _span(span: RunSpan) -> list[Any]:
    ended = None if span.ended is None else _number(span.ended)
    return [_number(span.started), ended, span.variant]


def _span_from(document: Any) -> RunSpan:
    started, ended, variant = document
    return RunSpan(_moment(started), None if ended is None else _moment(ended), variant)


def _times(times: Times) -> list[list[Any]]:
    return [[_text(price), time // _MICROSECOND] for price, time in times.items()]


def _times_from(rows: Iterable[Any]) -> dict[Price, timedelta]:
    return {_price(price): time * _MICROSECOND for price, time in rows}


def _number(moment: datetime) -> int:
    return (moment - NEVER) // _MICROSECOND


def _moment(number: int) -> datetime:
    return NEVER + number * _MICROSECOND


def _text(price: Price) -> str | None:
    return None if price is None else str(price)


@lru_cache(maxsize=64)  # a journal has few prices, and a receipt the times of thousands of runs
def _price(text: str | None) -> Price:
    return None if text is None else Decimal(text)
