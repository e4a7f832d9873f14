"""Whether a client should send a refused request again, as its answer's headers say it."""

import pytest

from parkmeter.errors import (
    MeterClosedError,
    NotServingError,
    ParkmeterError,
    StoreBusyError,
    TokenRefusedError,
    UploadStalledError,
    UpstreamError,
)
from parkmeter.web.problems import Problem, problem_of
from parkmeter.web.refusals import TooManyInFlightError, no_upgrade, too_many_connections


def should_retry(problem: Problem) -> str | None:
    return problem.headers.get("X-Should-Retry")


@pytest.mark.parametrize(
    "error",
    [
        MeterClosedError("No time."),
        TokenRefusedError(),
        NotServingError("It failed.", status="failed", retry_after=None),
    ],
)
def test_what_no_retry_can_change_says_so(error: ParkmeterError):
    assert should_retry(problem_of(error)) == "false"


@pytest.mark.parametrize(
    "error",
    [
        NotServingError("It starts.", status="starting", retry_after=5),
        TooManyInFlightError("No place."),
        StoreBusyError(),
        UpstreamError("It broke off."),
        UploadStalledError("Nothing more came."),
        ParkmeterError("See the log."),
    ],
)
def test_what_may_succeed_later_is_left_to_the_client(error: ParkmeterError):
    assert should_retry(problem_of(error)) is None


def test_errors_of_http_itself_are_marked_as_well():
    assert should_retry(no_upgrade().problem) == "false"
    assert should_retry(too_many_connections().problem) is None
