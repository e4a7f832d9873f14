"""Schemathesis over the OpenAPI document, against a real gateway: nothing it sends gets a 5xx.

What fits the document is accepted, except for what no document can say.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
)

from parkmeter.core.reserved import RESERVED, RESERVED_LATER
from tests.support.case_count import CASES
from tests.support.gateway_process import TOKEN, GatewayProcess, ping_config
from tests.support.random_input import try_cases

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    response_schema_conformance,
    content_type_conformance,
]
BY_STATE = {402, 409, 422}
"""The meter is closed, or it has changed; the time would be over a limit, or the price unknown."""
BY_RULE = (
    "must begin before it ends",
    "There is no endpoint",
    "visible characters",
    "in the past",
    "are reserved",
)
"""Refused as 400 by rules between two values, on letters and names, or with the time."""
OPERATIONS = [
    ("GET", "/health"),
    ("GET", "/whoami"),
    ("GET", "/endpoints"),
    ("GET", "/endpoints/{name}"),
    ("GET", "/endpoints/{name}/journal"),
    ("GET", "/endpoints/{name}/logs"),
    ("GET", "/endpoints/{name}/receipt"),
    ("GET", "/endpoints/{name}/receipt.csv"),
    ("GET", "/endpoints/{name}/timeline"),
    ("GET", "/endpoints/{name}/usage"),
    ("POST", "/endpoints/{name}/top-ups"),
    ("GET", "/metrics"),
    ("GET", "/tokens"),
    ("POST", "/tokens"),
    ("POST", "/tokens/{token_id}/rotate"),
    ("DELETE", "/tokens/{token_id}"),
    ("GET", "/audit"),
    ("GET", "/endpoint-expiry"),
    ("POST", "/endpoint-expiry"),
    ("POST", "/endpoints/{name}/invocations"),
    ("POST", "/{api_resource}"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{model}"),
    # Last, because after it prompts rightly get 402, and 503 during the next start.
    ("POST", "/endpoints/{name}/eject"),
]

ENDLESS = [("GET", "/events")]
"""It has no parameters and its answer never ends: see tests/behaviour/test_events.py."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder: Path = tmp_path_factory.mktemp("fuzzed")
    with GatewayProcess(folder / "state", ping_config()).start() as made:
        made.until("running")
        yield made


@pytest.fixture(scope="module")
def document(gateway: GatewayProcess) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{gateway.url}/openapi.json")


def test_every_operation_of_the_document_is_tried(document):
    known = {(op.ok().method.upper(), op.ok().path) for op in document.get_all_operations()}
    assert known == {*OPERATIONS, *ENDLESS}


TAKE_NOTHING = {"/health", "/whoami", "/metrics", "/tokens", "/v1/models"}
TRIALS = [
    (method, path, mode)
    for method, path in OPERATIONS
    for mode in GenerationMode
    # A route that takes nothing has nothing that could be broken.
    if path not in TAKE_NOTHING or method == "POST" or mode is not GenerationMode.NEGATIVE
]


def tried(
    document: schemathesis.BaseSchema, trial: tuple[str, str, GenerationMode], cases: int
) -> int:
    """Send this number of requests to one operation; return how many there were."""
    method, path, mode = trial

    def check(case: schemathesis.Case) -> None:
        if (case.query or {}).get("follow"):
            return  # never ends
        resource = str((case.path_parameters or {}).get("api_resource", "x"))
        if unquote(resource).strip() in {"", *RESERVED, *RESERVED_LATER}:
            return  # another operation
        if any(name.lower() == "host" for name in case.headers or {}):
            return  # another gateway
        answer = case.call_and_validate(headers={"Authorization": TOKEN}, checks=CHECKS)
        if answer.status_code in BY_STATE or any(rule in answer.text for rule in BY_RULE):
            return
        case.validate_response(answer, checks=[positive_data_acceptance])

    return try_cases(check, document[path][method].as_strategy(generation_mode=mode), cases)


@pytest.mark.parametrize("trial", TRIALS, ids="-".join)
def test_what_fits_the_document_and_what_breaks_it_gets_no_5xx(document, trial, record_property):
    record_property(CASES + "the HTTP routes", tried(document, trial, 25))


@pytest.mark.extended
@pytest.mark.timeout(1800)
def test_two_thousand_requests_that_fit_or_break_it_get_no_5xx(document, record_property):
    count = sum(tried(document, trial, 120) for trial in TRIALS)
    record_property(CASES + "the HTTP routes", count)
    assert count >= 2_000
