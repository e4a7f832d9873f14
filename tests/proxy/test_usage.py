"""What answers used, on its way through the data plane and into the store."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import pytest

from parkmeter.core.usage import Used, UsedAt
from parkmeter.proxy.answer_reader import AnswerReader, EventReader, JsonReader
from parkmeter.proxy.request_counter import RequestCounter
from parkmeter.proxy.traffic import MOST_NAMES, OTHERS, Traffic, TrafficByEndpoint
from parkmeter.stores.sqlite import SqliteStore
from parkmeter.stores.sqlite_file import _MIGRATIONS
from parkmeter.stores.sqlite_requests import SqliteRequests
from parkmeter.web.answer_usage import Usage
from tests.support.gateway_at_work import Gateway, gateway, on_both_loops, until
from tests.support.scripted_upstream import ServerEnd, answering, upstream

USAGE = b'{"usage": {"prompt_tokens": 9, "completion_tokens": 3}}'
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def answer(body: bytes, content_type: str = "application/json", more: str = "") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{more}\r\n".encode() + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def counted(meter: Gateway, name: str = "flan-t5") -> dict[str, Used]:
    return {who: count.used() for who, count in meter.plane.traffic[name].usage.items()}


@on_both_loops
async def test_what_an_answer_used_is_counted_for_the_name_of_its_token():
    async with upstream(answering(answer(USAGE))) as model, gateway(model.address) as meter:
        name = next(one.name for one in meter.tokens if "invoke" in one.scopes)
        for _ in range(2):
            assert (await meter.exchange()).body == USAGE
        assert counted(meter) == {name: Used(2, 0, 18, 6)}
        assert sum(meter.plane.traffic["flan-t5"].rate.buckets) == 2
        assert sum(meter.plane.traffic["flan-t5"].first_event.buckets) == 0


@pytest.mark.parametrize(
    ("reply", "unknown"),
    [
        (answer(b'{"text": "usage"}'), 1),
        (answer(gzip.compress(USAGE), more="Content-Encoding: gzip\r\n"), 1),
        (answer(USAGE, "text/plain"), 0),
        (answer(USAGE).replace(b"200 OK", b"400 Bad Request"), 0),
    ],
)
def test_an_answer_that_cannot_be_read_is_unknown_and_one_that_is_none_of_a_model_is_not_counted(
    reply, unknown
):
    async def run() -> None:
        async with upstream(answering(reply)) as model, gateway(model.address) as meter:
            await meter.exchange()
            assert sum(one.unknown for one in counted(meter).values()) == unknown
            assert sum(one.answers for one in counted(meter).values()) == 0

    asyncio.run(asyncio.wait_for(run(), 10))


@on_both_loops
async def test_an_answer_that_only_reads_is_not_counted():
    async with upstream(answering(answer(USAGE))) as model, gateway(model.address) as meter:
        await meter.exchange("/flan/v1/models", None, method="GET")
        assert counted(meter) == {}


@on_both_loops
async def test_counting_tokens_beforehand_uses_none():
    reply = answer(b'{"input_tokens": 9}')
    async with upstream(answering(reply)) as model, gateway(model.address) as meter:
        for path in ("v1/messages/count_tokens", "tokenize?a=b"):
            assert (await meter.exchange(f"/flan/{path}")).status == 200
        assert counted(meter) == {}


@on_both_loops
async def test_a_stream_is_passed_on_before_it_is_read_and_counted_at_its_end():
    events = (
        b'data: {"choices": [], "us',
        b'age": {"prompt_tokens": 9, "completion_tokens": 3}}\n\n',
    )
    proceed = asyncio.Event()

    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(STREAM + chunk(events[0]))
        await proceed.wait()
        await line.send(chunk(events[1]) + b"0\r\n\r\n")
        await line.gone()

    async with upstream(script) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask()
        await client.head()
        assert await client.chunk() == events[0]
        assert counted(meter) == {}
        proceed.set()
        assert await client.chunk() == events[1]
        assert await client.chunk() == b""
        await until(lambda: [*counted(meter).values()] == [Used(1, 0, 9, 3)])
        assert sum(meter.plane.traffic["flan-t5"].first_event.buckets) == 1


@on_both_loops
async def test_a_stream_that_breaks_off_or_whose_client_leaves_is_unknown():
    async def script(line: ServerEnd) -> None:
        await line.request()
        await line.send(STREAM + chunk(b'data: {"message": {"usage": {"input_tokens": 5}}}\n\n'))
        if line.number == 1:
            line.reset()
        await line.gone()

    async with upstream(script) as model, gateway(model.address) as meter:
        client = await meter.client()
        await client.ask()
        await client.head()
        await until(lambda: sum(one.unknown for one in counted(meter).values()) == 1)
        client = await meter.client()
        await client.ask()
        await client.head()
        client.leave()
        await until(lambda: sum(one.unknown for one in counted(meter).values()) == 2)
        assert sum(one.answers for one in counted(meter).values()) == 0


class Said(AnswerReader):
    """An answer that said what it used, and when it began."""

    def __init__(self, output: int = 1, first_at: float | None = None) -> None:
        self.first_at = first_at
        self.output = output

    def usage(self) -> Usage:
        return Usage(1, self.output)


def test_speed_and_first_event_fall_into_buckets_of_their_own():
    traffic, begun = Traffic(), perf_counter() - 2.0
    traffic.used("ada", Said(30, first_at=begun + 0.05), begun)
    traffic.used("ada", Said(0), begun)
    traffic.used("ada", EventReader(), begun)
    traffic.used("ada", Said(1), perf_counter() + 1.0)  # a clock that stands still
    assert sum(traffic.rate.buckets) == 1
    assert 0 < traffic.rate.total <= 15
    assert sum(traffic.first_event.buckets) == 1
    assert 0.04 < traffic.first_event.total < 0.06
    assert traffic.usage["ada"].used() == Used(3, 1, 3, 31)


def test_the_number_of_names_that_are_counted_is_bounded():
    traffic = Traffic()
    for n in range(MOST_NAMES + 50):
        traffic.used(f"n{n}", Said(), 0.0)
    traffic.used("n3", Said(), 0.0)
    assert len(traffic.usage) == MOST_NAMES + 1
    assert traffic.usage[OTHERS].answers == 50
    assert traffic.usage["n3"].answers == 2


# ── By the minute, and in the store ──────────────────────────────────────────────────────────────

NOON = datetime(2026, 6, 22, 12, 0, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


class Run:
    """One run of a gateway; the `next` one has the same store and new numbers."""

    def __init__(self, book: SqliteRequests, now: datetime = NOON + MINUTE / 2) -> None:
        self.book = book
        self.now = now
        self.traffic = TrafficByEndpoint()
        self.counter = RequestCounter(self.traffic, book, lambda: self.now)

    def next(self) -> "Run":
        return Run(self.book, self.now)

    def use(self, who: str = "ada", output: int = 10, endpoint: str = "qwen") -> None:
        reader = JsonReader()
        reader.feed(json.dumps({"usage": {"input_tokens": 1, "output_tokens": output}}).encode())
        self.traffic[endpoint].used(who, reader, 0.0)

    def passes(self, time: timedelta) -> None:
        self.now += time
        self.counter.roll_over()

    def by(self, begin: datetime = NOON, end: datetime | None = None) -> dict[str, Used]:
        return self.counter.used_by("qwen", begin, end or self.now)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    store = SqliteStore(tmp_path / "store.sqlite")
    yield Run(store.requests)
    store.close()


def test_usage_belongs_to_the_minute_in_which_its_answer_ended_and_to_its_token(run):
    run.use()
    run.use("grace", 5)
    run.traffic["qwen"].used("grace", JsonReader(), 0.0)
    run.use(endpoint="other")
    first = {"ada": Used(1, 0, 1, 10), "grace": Used(1, 1, 1, 5)}
    for written in (False, False, True):
        assert run.by() == first
        if written:
            run.counter.flush()
            assert run.by() == run.next().by() == first
        run.passes(MINUTE)
    run.use()
    assert run.by() == {**first, "ada": Used(2, 0, 2, 20)}
    assert run.by(end=NOON + MINUTE) == first
    assert run.by(begin=NOON + MINUTE) == {"ada": Used(1, 0, 1, 10)}
    assert run.counter.used_at("qwen", NOON, run.now, MINUTE) == [
        UsedAt(NOON, Used(2, 1, 2, 15)),
        UsedAt(NOON + 3 * MINUTE, Used(1, 0, 1, 10)),
    ]
    assert run.counter.used_at("qwen", NOON, run.now, 60 * MINUTE) == [
        UsedAt(NOON, Used(3, 1, 3, 25))
    ]
    assert run.counter.used_by("falcon", NOON, run.now) == {}


def test_a_restart_keeps_what_was_counted_and_counts_it_once(run):
    run.use()
    run.counter.finish()
    following = run.next()
    following.use()
    assert following.by() == {"ada": Used(2, 0, 2, 20)}
    following.counter.finish()
    following.counter.finish()
    assert following.next().by() == {"ada": Used(2, 0, 2, 20)}


def test_two_periods_that_meet_within_a_minute_add_up_to_the_whole(run):
    for _ in range(4):
        run.use()
        run.passes(MINUTE)
    cut = NOON + 1.5 * MINUTE
    assert run.by(end=cut)["ada"] + run.by(begin=cut)["ada"] == run.by()["ada"]


def test_usage_older_than_a_month_is_kept_by_the_day(run):
    for _ in range(40):
        for _ in range(3):
            run.use()
            run.passes(MINUTE)
        run.passes(DAY - 3 * MINUTE)
        run.counter.flush()
    whole = run.by()
    assert whole == {"ada": Used(120, 0, 120, 1200)}
    cut = NOON + 3 * DAY
    assert run.by(end=cut)["ada"] + run.by(begin=cut)["ada"] == whole["ada"]
    assert run.by(end=cut) == {"ada": Used(9, 0, 9, 90)}
    assert run.counter.used_at("qwen", NOON - DAY, NOON + 5 * DAY, MINUTE) == []
    old = run.book.used_at("qwen", NOON - DAY, NOON + 5 * DAY, MINUTE)
    assert {one.used for one in old} == {Used(3, 0, 3, 30)}
    assert {(one.at.hour, one.at.minute) for one in old} == {(0, 0)}
    rows = run.book._file.all("SELECT count(*) FROM usage")[0][0]
    assert rows == 31 * 3 + 9


def test_a_new_store_counts_from_now_on_and_so_does_one_of_an_earlier_version(
    tmp_path: Path, monkeypatch
):
    before = datetime.now(UTC) - MINUTE
    with monkeypatch.context() as earlier:
        earlier.setattr("parkmeter.stores.sqlite_file._MIGRATIONS", _MIGRATIONS[:7])
        SqliteStore(tmp_path / "old.sqlite").close()
    for name in ("old.sqlite", "new.sqlite", "old.sqlite"):
        store = SqliteStore(tmp_path / name)
        assert before <= store.requests.since() <= datetime.now(UTC)
        store.requests.add(NOON, {}, {("qwen", "ada"): Used(1, 0, 1, 1)})
        store.close()
