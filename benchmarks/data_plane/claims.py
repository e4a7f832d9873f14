"""From rounds to claims: what is compared with what, and the targets. Measures nothing."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.data_plane.load import Load
from benchmarks.data_plane.rounds import Round, StreamRound
from benchmarks.report import Bound, Claim

OURS, NGINX = "parkmeter", "nginx"
LEAST_RATES = {"Envoy": 1.0, "LiteLLM": 100.0}
"""Requests a second of ours, as a multiple of theirs."""
CROWDED = (16, 64)
MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Found:
    """All rounds, in their order; those of one number were taken side by side."""

    direct: dict[int, list[Load]] = field(default_factory=lambda: defaultdict(list))
    loads: dict[tuple[str, int], list[Round]] = field(default_factory=lambda: defaultdict(list))
    streams: dict[str, list[StreamRound]] = field(default_factory=lambda: defaultdict(list))

    broken: dict[str, str] = field(default_factory=dict)
    """Peers that did not stand the load, and what happened: they are not compared with."""

    @property
    def others(self) -> list[str]:
        """The peers that were measured to the end."""
        measured = dict.fromkeys(name for name, _ in self.loads)
        return [name for name in measured if name != OURS and name not in self.broken]


def claims(found: Found) -> Iterator[Claim]:
    """Every line that the rounds are good for; a peer that is missing has none."""
    for clients in CROWDED:
        yield from _against_nginx(found, clients)
    yield from _added(found)
    yield from _streams(found)
    for name in found.others:
        if name != NGINX:
            yield from _against(found, name)
    for clients in CROWDED:
        yield from _alone(found, clients)


def _against_nginx(found: Found, clients: int) -> Iterator[Claim]:
    subject = f"data plane, {clients} clients"
    ours = found.loads[OURS, clients]
    theirs = found.loads[NGINX, clients] if NGINX in found.others else []
    if theirs:
        rates = _ratios(_rates(ours), _rates(theirs))
        yield Claim(subject, "requests/s ÷ nginx", rates, "", Bound.AT_LEAST, 0.35)
        yield Claim(subject, "requests/s ÷ nginx, summit", rates, "", Bound.AT_LEAST, 0.8)
    if cpu := _cpu(ours):
        yield Claim(subject, "CPU a request", cpu, "µs", Bound.AT_MOST, 60)
    if theirs and cpu:
        ratios = _ratios(cpu, _cpu(theirs))
        yield Claim(subject, "CPU a request ÷ nginx, summit", ratios, "", Bound.AT_MOST, 1.3)
    opened = [one.opened for one in ours]
    yield Claim(subject, "connections opened upstream", opened, "", Bound.AT_MOST, clients)


def _added(found: Found) -> Iterator[Claim]:
    subject = "data plane, 1 client"
    direct = found.direct[1]
    for name in (OURS, *found.others):
        added = [
            (through.p50 - straight.p50) * MICROSECONDS
            for through, straight in zip(found.loads[name, 1], direct, strict=True)
        ]
        yield Claim(subject, f"added p50, {name}", added, "µs")
    if NGINX in found.others:
        pairs = zip(found.loads[OURS, 1], found.loads[NGINX, 1], strict=True)
        more = [(ours.p50 - theirs.p50) * MICROSECONDS for ours, theirs in pairs]
        yield Claim(subject, "p50 more than nginx's, summit", more, "µs", Bound.AT_MOST, 10)


def _streams(found: Found) -> Iterator[Claim]:
    subject = "data plane, streams of 100 events"
    for name, taken in found.streams.items():
        if cpu := _cpu(taken):
            yield Claim(subject, f"CPU a stream, {name}", cpu, "µs")
    if NGINX in found.streams:
        ours, theirs = found.streams[OURS], found.streams[NGINX]
        if cpu := _cpu(ours):
            ratios = _ratios(cpu, _cpu(theirs))
            yield Claim(subject, "CPU a stream ÷ nginx", ratios, "", Bound.AT_MOST, 1.3)
        later = [
            (mine.first_event - other.first_event) * MICROSECONDS
            for mine, other in zip(ours, theirs, strict=True)
        ]
        yield Claim(subject, "first event later than nginx's", later, "µs", Bound.AT_MOST, 100)


def _against(found: Found, name: str) -> Iterator[Claim]:
    least = LEAST_RATES.get(name)
    bound = None if least is None else Bound.AT_LEAST
    for clients in CROWDED:
        subject = f"data plane, {clients} clients"
        ours, theirs = found.loads[OURS, clients], found.loads[name, clients]
        rates = _ratios(_rates(ours), _rates(theirs))
        yield Claim(subject, f"requests/s ÷ {name}", rates, "", bound, least or 0.0)
        if cpu := _cpu(ours):
            ratios = _ratios(cpu, _cpu(theirs))
            yield Claim(subject, f"CPU a request ÷ {name}", ratios)


def _alone(found: Found, clients: int) -> Iterator[Claim]:
    """Return the figures behind the ratios: do they depend on the gateway's core alone?"""
    subject = f"data plane, {clients} clients"
    direct = [one.requests / one.seconds for one in found.direct[clients]]
    yield Claim(subject, "requests/s without a gateway", direct)
    for name in (OURS, *found.others):
        taken = found.loads[name, clients]
        yield Claim(subject, f"requests/s, {name}", _rates(taken))
        if cpu := _cpu(taken):
            yield Claim(subject, f"CPU a request, {name}", cpu, "µs")
            shares = [100 * (one.share or 0.0) for one in taken]
            yield Claim(subject, f"of its core wanted, {name}", shares, "%")


def _cpu(taken: Sequence[Round] | Sequence[StreamRound]) -> list[float]:
    """Processor time a piece in microseconds; nothing where the system does not tell."""
    return [one.cpu * MICROSECONDS for one in taken if one.cpu is not None]


def _rates(taken: Sequence[Round]) -> list[float]:
    return [one.rate for one in taken]


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]
