"""The tests of refusals, broken answers and streams, each behind prompts whose heads are known.

Every client first has a plain prompt answered twice on its connection: what it sends then, and what
the model server answers, is compared with what was learnt.
"""

import functools
import inspect
from typing import Any

import pytest

from parkmeter.proxy.data_plane import DataPlane
from tests.proxy import (
    test_data_plane_answers,
    test_data_plane_broken,
    test_data_plane_forwarding,
    test_data_plane_headers,
    test_stream_ends,
)
from tests.support import gateway_at_work
from tests.support.gateway_at_work import Client, Gateway, on_uvloop
from tests.support.scripted_upstream import OK, ServerEnd

MODULES = (
    test_data_plane_answers,
    test_data_plane_broken,
    test_data_plane_forwarding,
    test_data_plane_headers,
    test_stream_ends,
)
NOT_HERE = {
    "test_a_chunked_body_over_the_limit_is_a_413_and_never_ends_at_the_model_server",
    "test_a_fresh_connection_that_closes_is_not_tried_again",
    "test_an_ambiguous_request_never_reaches_a_model",
    "test_headers_larger_than_model_servers_read_are_refused",
    "test_the_timeline_counts_admitted_requests_and_no_refused_ones",
}
"""Their model server is not there or counts its requests, so no prompt can be answered before."""


@pytest.fixture(params=[True, False], ids=["memo", "no memo"], autouse=True)
def _known(request, monkeypatch):
    """Have every client of a gateway send a prompt twice before the test has it."""
    warming = False
    read, connect = ServerEnd.head, Gateway.client

    async def head(end: ServerEnd):
        while True:
            received = await read(end)
            if not warming:
                return received
            await end.body(received)
            await end.send(OK)

    async def client(gateway: Gateway) -> Client:
        nonlocal warming
        made = await connect(gateway)
        warming = True
        try:
            for _ in range(2):
                if (await made.exchange()).fields.get("connection") == "close":
                    return await connect(gateway)
        finally:
            warming = False
        return made

    monkeypatch.setattr(ServerEnd, "head", head)
    monkeypatch.setattr(Gateway, "client", client)
    plane = functools.partial(DataPlane, memo=request.param)
    monkeypatch.setattr(gateway_at_work, "DataPlane", plane)


def _on_uvloop(test: Any) -> Any:
    """Return a test of both loops for one of them: half the time, and the same reading."""
    if not hasattr(test, "__wrapped__"):
        return test
    marks = [mark for mark in test.pytestmark if mark.args[0] != "new_loop"]
    alone = on_uvloop(test.__wrapped__)
    alone.pytestmark = [*alone.pytestmark, *marks]
    return alone


for _module in MODULES:
    for _name, _test in inspect.getmembers(_module, inspect.isfunction):
        if _name.startswith("test_") and _name not in NOT_HERE:
            assert _name not in globals(), _name
            globals()[_name] = _on_uvloop(_test)
