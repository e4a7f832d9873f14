"""The metrics of the local gateway, for Prometheus: their list, their text format and their route.

`FAMILIES` is the whole list; the reference is made from it. Names follow Prometheus' conventions
(base units, `_total` for counters). The format 0.0.4 is written here, because the library for it
would count under a lock, and counting is on the way of every prompt (see `proxy.traffic`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import accumulate

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response

from parkmeter._version import __version__
from parkmeter.api.dependencies import ApiContext, token_of
from parkmeter.core.meter import Status, overdue
from parkmeter.core.report import Report
from parkmeter.core.tokens import Scope, Token
from parkmeter.proxy.gate import LocalGate
from parkmeter.proxy.traffic import Histogram, Traffic, TrafficByEndpoint

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Type(StrEnum):
    """Type of a metric, as Prometheus has them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Present:
    """One endpoint as of now. `bought`: the number of its top-ups, and the time they added.

    `names`: the names of tokens may be shown.
    """

    report: Report
    traffic: Traffic
    in_flight: int
    held: int
    bought: tuple[int, timedelta]
    names: bool = False


Sample = tuple[str, float]
"""Labels beside `endpoint`, written out, and a value."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric of each endpoint. `labels`: beside `endpoint`."""

    name: str
    type: Type
    about: str
    samples: Callable[[Present], Iterable[Sample]] | None = None
    histogram: Callable[[Present], Histogram] | None = None
    labels: tuple[str, ...] = ()


def _one(value: Callable[[Present], float]) -> Callable[[Present], Iterable[Sample]]:
    return lambda present: [("", value(present))]


def _status(present: Present) -> Iterator[Sample]:
    for status in Status:
        yield f',status="{status}"', float(status is present.report.shown.status)


def _overdue(present: Present) -> float:
    report = present.report
    return overdue(report.spec, report.meter, report.at).total_seconds()


def _requests(present: Present) -> Iterator[Sample]:
    for outcome, count in present.traffic.requests().items():
        yield f',code="{outcome}"', count


def _tokens(present: Present) -> Iterator[Sample]:
    used = [count.used() for count in present.traffic.usage.values()]
    yield ',kind="input"', sum(one.input for one in used)
    yield ',kind="output"', sum(one.output for one in used)


def _tokens_by_name(present: Present) -> Iterator[Sample]:
    if present.names:
        for name, count in present.traffic.usage.items():
            used, label = count.used(), _escaped(name)
            yield f',who="{label}",kind="input"', used.input
            yield f',who="{label}",kind="output"', used.output


def _unknown(present: Present) -> float:
    return sum(count.unknown for count in present.traffic.usage.values())


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


FAMILIES: Sequence[Family] = (
    Family(
        "parkmeter_endpoint_time_left_seconds",
        Type.GAUGE,
        "Time until the meter closes; 0 when it is closed.",
        _one(lambda present: present.report.left.total_seconds()),
    ),
    Family(
        "parkmeter_endpoint_status",
        Type.GAUGE,
        "1 for the status the endpoint has, 0 for the others.",
        _status,
        labels=("status",),
    ),
    Family(
        "parkmeter_endpoint_overdue_seconds",
        Type.GAUGE,
        "Time the endpoint has outlived its meter and the drain; normally 0.",
        _one(_overdue),
    ),
    Family(
        "parkmeter_endpoint_trouble",
        Type.GAUGE,
        "1 while the endpoint cannot be observed, or a deadline or stop is not delivered or not "
        "recorded; normally 0.",
        _one(lambda present: float(present.report.meter.run.trouble != "")),
    ),
    Family(
        "parkmeter_top_ups_total",
        Type.COUNTER,
        "Top-ups, the first provisioning included.",
        _one(lambda present: present.bought[0]),
    ),
    Family(
        "parkmeter_top_up_seconds_total",
        Type.COUNTER,
        "Time that top-ups added.",
        _one(lambda present: present.bought[1].total_seconds()),
    ),
    Family(
        "parkmeter_requests_total",
        Type.COUNTER,
        "Requests by outcome: class of the status (2xx to 5xx), gone (the client left first), "
        "broken (the answer had begun and broke off).",
        _requests,
        labels=("code",),
    ),
    Family(
        "parkmeter_requests_in_flight",
        Type.GAUGE,
        "Requests being answered.",
        _one(lambda present: present.in_flight),
    ),
    Family(
        "parkmeter_requests_held",
        Type.GAUGE,
        "Requests waiting for the endpoint to serve, or for a place in flight.",
        _one(lambda present: present.held),
    ),
    Family(
        "parkmeter_requests_limited_total",
        Type.COUNTER,
        "Requests refused (429) for want of a place: max_in_flight, or a token's share.",
        _one(lambda present: present.traffic.limited),
    ),
    Family(
        "parkmeter_request_first_byte_seconds",
        Type.HISTOGRAM,
        "From admission to the head of the model's answer.",
        histogram=lambda present: present.traffic.first_byte,
        labels=("le",),
    ),
    Family(
        "parkmeter_request_duration_seconds",
        Type.HISTOGRAM,
        "From admission to the end of the model's answer.",
        histogram=lambda present: present.traffic.whole,
        labels=("le",),
    ),
    Family(
        "parkmeter_stream_first_event_seconds",
        Type.HISTOGRAM,
        "From admission to the first event of a streamed answer.",
        histogram=lambda present: present.traffic.first_event,
        labels=("le",),
    ),
    Family(
        "parkmeter_output_tokens_per_second",
        Type.HISTOGRAM,
        "Output tokens of an answer by the second from its admission to its end, where known.",
        histogram=lambda present: present.traffic.rate,
        labels=("le",),
    ),
    Family(
        "parkmeter_model_tokens_total",
        Type.COUNTER,
        "Tokens that answers said they used, of the prompt (input) and of the answer (output).",
        _tokens,
        labels=("kind",),
    ),
    Family(
        "parkmeter_model_tokens_by_name_total",
        Type.COUNTER,
        "The same by the name of the gateway's token, the first 100 of an endpoint by their own; "
        "only for tokens with the scope admin.",
        _tokens_by_name,
        labels=("who", "kind"),
    ),
    Family(
        "parkmeter_usage_unknown_total",
        Type.COUNTER,
        "Answers to prompts, JSON or streamed, that did not say what they used.",
        _one(_unknown),
    ),
)

HOUSE = (
    Family(
        "parkmeter_clock_alive",
        Type.GAUGE,
        "1 while the clock is running, 0 if it is stuck.",
    ),
    Family(
        "parkmeter_build_info",
        Type.GAUGE,
        "Always 1; the version of parkmeter as a label.",
        labels=("version",),
    ),
    Family(
        "parkmeter_tokens_refused_total",
        Type.COUNTER,
        "Requests with a token that is unknown, expired or revoked.",
    ),
    Family("parkmeter_connections", Type.GAUGE, "Open connections of clients."),
    Family("parkmeter_connections_limit", Type.GAUGE, "Most connections of clients."),
    Family(
        "parkmeter_connections_closed_total",
        Type.COUNTER,
        "Idle connections closed for new ones.",
    ),
    Family(
        "parkmeter_connections_refused_total",
        Type.COUNTER,
        "Connections refused because all others had a request.",
    ),
    Family("parkmeter_descriptors", Type.GAUGE, "Open files and connections of the gateway."),
    Family("parkmeter_descriptors_limit", Type.GAUGE, "Most of them."),
)
"""The gateway's own, without the label `endpoint`."""


def page(
    endpoints: Sequence[Present], *, clock_alive: bool, house: Mapping[str, float] | None = None
) -> str:
    """Return all metrics of these endpoints and of the gateway, as Prometheus reads them.

    `house`: values of the gateway's own metrics, by name; those without one are left out.
    """
    lines: list[str] = []
    for family in FAMILIES:
        lines += _head(family)
        for present in endpoints:
            lines += _lines(family, present)
    alive, build, *others = HOUSE
    lines += [*_head(alive), f"{alive.name} {clock_alive:d}"]
    lines += [*_head(build), f'{build.name}{{version="{__version__}"}} 1']
    for family in others:
        if house is not None and family.name in house:
            lines += [*_head(family), f"{family.name} {house[family.name]:.15g}"]
    return "\n".join(lines) + "\n"


def _head(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.about}"
    yield f"# TYPE {family.name} {family.type}"


def _lines(family: Family, present: Present) -> Iterator[str]:
    # Names of endpoints consist of letters, digits and hyphens, so nothing needs escaping.
    label = f'endpoint="{present.report.spec.name}"'
    if family.samples is not None:
        for more, value in family.samples(present):
            yield f"{family.name}{{{label}{more}}} {value:.15g}"
    if family.histogram is not None:
        histogram = family.histogram(present)
        counts = list(accumulate(histogram.buckets))
        for edge, count in zip((*histogram.bounds, "+Inf"), counts, strict=True):
            yield f'{family.name}_bucket{{{label},le="{edge}"}} {count}'
        yield f"{family.name}_sum{{{label}}} {histogram.total:.15g}"
        yield f"{family.name}_count{{{label}}} {counts[-1]}"


Bought = Callable[[str], tuple[int, timedelta]]
"""Maps an endpoint's name to the number of its top-ups and the time they added."""


def add_metrics_route(  # noqa: PLR0913 (all that is measured)
    app: FastAPI,
    control: ApiContext,
    gate: LocalGate,
    traffic: TrafficByEndpoint,
    bought: Bought,
    *,
    house: Callable[[], Mapping[str, float]] = dict,
) -> None:
    """Add `GET /metrics` to an application that runs on the event loop of the data plane.

    `house` returns values of the gateway's own metrics, by name; it is called on a thread.
    """
    known_token = token_of(control)

    @app.get("/metrics", tags=["gateway"], response_class=PlainTextResponse)
    async def get_metrics(token: Token = known_token) -> Response:
        """Return the metrics of the endpoints this token covers, and of the gateway."""
        reports, values = await control.lanes.reads.run(
            token.id, lambda: (control.service.reports(), house())
        )
        present = [
            Present(
                report,
                traffic[name],
                in_flight=gate.in_flight(name),
                held=gate.waiting(name),
                bought=bought(name),
                names=token.may(Scope.ADMIN, name),
            )
            for report in reports
            if token.covers(name := report.spec.name)
        ]
        text = page(present, clock_alive=control.alive(), house=values)
        return Response(text, media_type=CONTENT_TYPE)
