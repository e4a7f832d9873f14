"""The JSON of endpoints, of which most is as it was when the last client asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from parkmeter.api.schemas import Endpoint
from parkmeter.core.meter import Status
from parkmeter.core.report import Report
from parkmeter.service.run_stats import RunStats


@dataclass(frozen=True, slots=True)
class _Known:
    """A JSON text around its seconds left and its cost, and all that the rest of it was made of."""

    facts: tuple[Any, ...]
    before: bytes
    between: bytes
    after: bytes


class EndpointJson:
    """Makes the JSON of `schemas.Endpoint`; from any thread: at worst a text is made twice.

    A thousand endpoints are asked for at once, and few have changed since: only the time left and
    the cost are written again, unless the meter, the configuration or the status is another one.
    """

    def __init__(
        self,
        run_stats: RunStats,
        resource: Callable[[str], str],
        invocations: Callable[[str], str | None],
    ) -> None:
        self._run_stats = run_stats
        self._resource = resource
        self._invocations = invocations
        self._known: dict[str, _Known] = {}

    def shape(self, report: Report) -> Endpoint:
        """Return the shape of a report."""
        name = report.spec.name
        summary = self._run_stats.of(report)
        return Endpoint.of(report, summary, self._resource(name), self._invocations(name))

    def text(self, report: Report) -> bytes:
        """Return the shape of a report as JSON."""
        name, shown = report.spec.name, report.shown
        if shown.status is Status.STARTING or shown.passing:
            return self.shape(report).model_dump_json().encode()
        facts = (
            report.spec,
            report.meter,
            shown,
            report.closes_at,
            report.window,
            report.next_window,
            report.held,
            self._resource(name),
            self._invocations(name),
        )
        known = self._known.get(name)
        if known is None or known.facts != facts:  # quick: those that stayed are the same objects
            text = self.shape(report).model_dump_json().encode()
            self._known[name] = _Known(facts, *_cut(text))
            return text
        cost = self._run_stats.of(report).cost_so_far
        return b"".join(
            (
                known.before,
                to_json(report.left.total_seconds()),
                known.between,
                b"null" if cost is None else to_json(float(cost)),
                known.after,
            )
        )


def _cut(text: bytes) -> tuple[bytes, bytes, bytes]:
    """Return what stands before, between and after the seconds left and the cost.

    A quotation mark inside of a text is escaped, so a member's name with its own is found once.
    """
    seconds, price, cost = b',"seconds_left":', b',"price_per_hour":', b',"cost_so_far":'
    before, _, rest = text.partition(seconds)
    _, _, rest = rest.partition(price)
    dollars, _, rest = rest.partition(cost)
    after = rest[rest.index(b",") :]
    return before + seconds, price + dollars + cost, after
