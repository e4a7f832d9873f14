"""Random input for what reads values: amounts, times, hours, JSON bodies, links, keys, payloads."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from starlette.requests import Request

from parkmeter.api.legacy_routes import LegacyTopUp
from parkmeter.api.periods import moment_of
from parkmeter.api.request_body import idempotency_key, parsed, read_json
from parkmeter.api.schemas import Eject, TopUp
from parkmeter.api.token_schemas import NewToken
from parkmeter.aws.api_events import guess_content_type
from parkmeter.cli.history import _parse_time
from parkmeter.cli.tokens import _expiry
from parkmeter.core.extend_link import LinkLateError, LinkUnknownError, Offer, link_of, offer_in
from parkmeter.core.hours import Hours
from parkmeter.core.money import Dollars, Minutes, parse_amount
from parkmeter.errors import InvalidRequestError, TooLargeError
from parkmeter.model_server.checks import PayloadError
from parkmeter.model_server.payload import Payload, parse_json, parse_text
from parkmeter.web.problems import problem_of
from tests.support.random_input import JSON_PIECES, damaged, damaged_text, json_values

FEW_AND_MANY = pytest.mark.parametrize(
    "cases", [150, pytest.param(2_000, marks=[pytest.mark.extended, pytest.mark.timeout(900)])]
)
NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)


@FEW_AND_MANY
def test_an_amount_is_more_than_nothing_or_refused(run, cases):
    def check(document: dict[str, Any]) -> None:
        try:
            found = parse_amount(document)
        except InvalidRequestError as error:
            assert error.detail
        else:
            assert isinstance(found, Minutes | Dollars)
            assert found.amount > type(found.amount)(0)
            assert str(found)

    texts = damaged_text(
        ["1.25", "10", "1e3"], ["-", ".", "e", "_", "0", "inf", "nan", " ", "\u0661"]
    )
    values = st.one_of(json_values, texts)
    documents = st.dictionaries(
        st.sampled_from(["minutes", "dollars", "other"]), values, max_size=2
    )
    run("amounts", check, documents, cases)


HOURS = damaged_text(
    [
        "Mon-Fri 09:00-17:00 Europe/London",
        "sat,sun 22:00-02:00 UTC",
        "Sun-Mon 00:00-24:00 Asia/Tokyo",
    ],
    [
        *("Mon", "Sun", "-", ",", " ", ":", "00:00", "24:00", "23:59", "UTC", "Europe", "/", "\t"),
        *("Pacific/Apia", "Africa/Casablanca", "../etc/passwd", "\x00", "09:00", "\u0661\u0662:00"),
    ],
)


@FEW_AND_MANY
def test_hours_are_windows_or_refused_in_words(run, cases):
    def check(texts: list[str]) -> None:
        try:
            found = Hours.of(texts)
        except ValueError as error:
            assert str(error)
            return
        assert Hours.of(found.texts) == found
        now = found.window(NOON)
        assert now is None or now.begin <= NOON < now.end
        following = found.next_window(NOON)
        assert NOON < following.begin < following.end
        assert following.length <= timedelta(days=8)

    run("hours", check, st.lists(HOURS, max_size=3), cases)


TIMES = damaged_text(
    ["2026-06-22T08:24:12Z", "2026-06-22", "2026-11-01T09:30+02:00", "0001-01-01T00:00:00-14:00"],
    [
        *(
            "0001",
            "9999",
            "-",
            ":",
            "T",
            "Z",
            "+14:00",
            "-23:59",
            "12:31",
            "W01-1",
            "30d",
            "8w",
            "\x00",
        )
    ],
)


@FEW_AND_MANY
def test_a_moment_in_a_query_is_in_utc_or_refused(run, cases):
    def check(text: str) -> None:
        try:
            found = moment_of(text, "from")
        except InvalidRequestError:
            return
        assert found.utcoffset() == timedelta(0)

    run("times", check, TIMES, cases)


@FEW_AND_MANY
def test_a_time_on_the_command_line_is_read_or_refused_in_words(run, cases):
    def check(text: str) -> None:
        for read in (_parse_time, lambda text: _expiry(text, NOON)):
            try:
                assert read(text).tzinfo is not None
            except SystemExit as refused:
                assert refused.code == 2

    run("times", check, TIMES, cases)


BODIES = damaged(
    [
        b'{"minutes": 30}',
        b"minutes=30",
        b'{"dollars": "5.00", "expires_at": "2026-06-22T08:24:12Z"}',
        b'{"EndpointName": "a", "minutes": 1}',
        b'{"name": "ada", "scopes": ["invoke"], "endpoints": ["a"], "minutes_per_day": 60}',
    ],
    [*JSON_PIECES, b"dollars=", b"=", b"1.", b'"name"', b'"scopes"', b'"expires_at"', b" ", b"\t"],
)


@FEW_AND_MANY
def test_a_body_of_a_control_route_is_read_or_refused(run, cases):
    async def read(pieces: list[bytes], length: bytes | None) -> object:
        waiting = iter(pieces)

        async def receive() -> dict[str, Any]:
            piece = next(waiting, None)
            return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

        headers = [] if length is None else [(b"content-length", length)]
        return await read_json(Request({"type": "http", "headers": headers}, receive))

    def check(case: tuple[list[bytes], bytes | None]) -> None:
        try:
            document = asyncio.run(read(*case))
        except (InvalidRequestError, TooLargeError):
            return
        for shape in (TopUp, LegacyTopUp, Eject, NewToken):
            try:
                parsed(shape, document)
            except InvalidRequestError as error:
                assert problem_of(error).body

    length = st.one_of(st.none(), st.sampled_from([b"5", b"99999999999", b"-1", b"\xb2", b""]))
    run("JSON bodies", check, st.tuples(st.lists(BODIES, min_size=1, max_size=2), length), cases)


@FEW_AND_MANY
def test_any_json_is_taken_or_refused_by_every_shape(run, cases):
    names = ["minutes", "dollars", "name", "scopes", "endpoints", "expires_at", "EndpointName"]

    def check(document: object) -> None:
        for shape in (TopUp, LegacyTopUp, Eject, NewToken):
            try:
                parsed(shape, document)
            except InvalidRequestError as error:
                assert problem_of(error).body

    documents = st.dictionaries(st.sampled_from(names), json_values, max_size=4)
    run("JSON bodies", check, st.one_of(documents, json_values), cases)


@FEW_AND_MANY
def test_a_key_is_visible_ascii_or_refused(run, cases):
    def check(text: str) -> None:
        try:
            found = idempotency_key(text)
        except InvalidRequestError:
            return
        assert found.isascii()
        assert found.isprintable()
        assert 1 <= len(found) <= 255

    run("headers", check, st.text(max_size=300), cases)


SECRET = b"s" * 32
OFFER = Offer("flan-t5", 12, timedelta(minutes=30), NOON + timedelta(hours=1))
LINK = link_of(OFFER, SECRET)


@FEW_AND_MANY
def test_only_the_link_itself_is_a_link(run, cases):
    def check(text: str) -> None:
        try:
            found = offer_in(text, SECRET, NOON)
        except (LinkUnknownError, LinkLateError):
            return
        assert found == OFFER  # a few letters of base64 may differ and mean the same

    links = damaged_text(
        [LINK, *LINK.split(".")], [".", "=", "-", "_", "A", "\x00", "\u0661", "%2e"]
    )
    run("links", check, links, cases)


@FEW_AND_MANY
def test_a_prompt_s_payload_is_read_or_refused_in_words(run, cases):
    def check(body: bytes) -> None:
        for read in (parse_json, parse_text):
            try:
                assert isinstance(read(body), Payload)
            except PayloadError as error:
                error.detail.encode()

    payloads = damaged(
        [
            b'{"text_inputs": "a", "max_length": 50, "temperature": 0.0, "seed": 321}',
            b'{"text_inputs": ["a", "b"], "num_beams": 4, "do_sample": true, "top_p": 0.9}',
        ],
        [*JSON_PIECES, b'"text_inputs"', b'"seed"', b'"top_k"', b'"max_length"', b"1e400", b"-0.0"],
    )
    run("payloads", check, payloads, cases)


@FEW_AND_MANY
def test_the_type_of_an_answer_can_always_be_guessed(run, cases):
    def check(body: bytes) -> None:
        assert guess_content_type(body.decode("utf-8", "replace"))

    run("payloads", check, BODIES, cases)
