"""Paths of the model server that a token reaches; engine control takes `admin`."""

import pytest

from parkmeter.web.routes import Route, Routes
from tests.support.gateway_at_work import gateway, on_both_loops
from tests.support.scripted_upstream import OK, Received, ServerEnd, answering, upstream


def keeping(lines: list[str]):
    async def script(end: ServerEnd) -> None:
        while True:
            head: Received = (await end.request())[0]
            lines.append(head.line.removesuffix(" HTTP/1.1"))
            await end.send(OK)

    return script


@pytest.mark.parametrize(
    "path",
    [
        "pause",
        "resume",
        "scale_elastic_ep",
        "update_weights",
        "v1/load_lora_adapter",
        "sleep?level=2",
        "collective_rpc",
        "update_weights_from_disk",
        "api/delete",
        "%70ause",
        "%2570ause",
        "/pause",
        "pause/",
        "PAUSE",
        "pause;x",
        "v1%2Fload_lora_adapter",
    ],
)
@on_both_loops
async def test_engine_control_takes_admin(path):
    lines: list[str] = []
    async with upstream(keeping(lines)) as model, gateway(model.address) as meter:
        reply = await meter.exchange(f"/flan/{path}")
        assert (reply.status, reply.json["code"]) == (403, "scope_missing")
        assert (reply.json["scope"], lines) == ("admin", [])
        assert (await meter.exchange(f"/flan/{path}", token="t-admin")).status == 200
    assert lines == [f"POST /{path}"]


@pytest.mark.parametrize(
    "path", ["x%2f..%2fpause", "..%2fpause", "x%5c..%5cpause", "pause#x", "x%3f/../pause"]
)
@on_both_loops
async def test_a_path_that_hides_another_is_refused_to_every_token(path):
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        for token in ("t-invoke", "t-admin"):
            assert (await meter.exchange(f"/flan/{path}", token=token)).status == 400
        assert model.connections == 0


@on_both_loops
async def test_settings_of_an_engine_may_be_read_and_not_written():
    lines: list[str] = []
    async with upstream(keeping(lines)) as model, gateway(model.address) as meter:
        assert (await meter.exchange("/flan/props", None, method="GET")).status == 200
        assert (await meter.exchange("/flan/props")).status == 403
        assert (await meter.exchange("/flan/models", method="DELETE")).status == 403
    assert lines == ["GET /props"]


@on_both_loops
async def test_an_endpoint_that_names_its_paths_opens_no_others():
    paths = ("/v1/*", "/sleep")
    async with upstream(answering(OK)) as model, gateway(model.address, paths=paths) as meter:
        for path in ("", "/v1/models", "/sleep"):
            assert (await meter.exchange(f"/flan{path}")).status == 200
        for path in ("/v1/load_lora_adapter", "/tokenize", "/v1", "/wake_up"):
            assert (await meter.exchange(f"/flan{path}")).status == 403
        assert (await meter.exchange("/flan/tokenize", token="t-admin")).status == 200
        assert (await meter.exchange("/flan/tokenize", token=None)).status == 401


@on_both_loops
async def test_the_rule_of_paths_holds_for_each_request_of_a_connection():
    """What follows from a head is kept for the next; a reload changes what follows from it."""
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        client = await meter.client()
        for _ in range(3):
            assert (await client.exchange("/flan/tokenize")).status == 200
        meter.plane.routes = Routes([Route("flan-t5", "flan", paths=("/v1/*",))])
        for _ in range(2):
            assert (await client.exchange("/flan/tokenize")).status == 403
        meter.plane.routes = Routes([Route("flan-t5", "flan")])
        for _ in range(2):
            assert (await client.exchange("/flan/tokenize")).status == 200
        for _ in range(2):
            assert (await client.exchange("/flan/pause")).status == 403


@on_both_loops
async def test_an_admin_that_may_not_prompt_reaches_no_path():
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        assert (await meter.exchange("/flan/pause", token="t-purse")).json["scope"] == "invoke"


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
@on_both_loops
async def test_a_method_that_repeats_or_tunnels_is_not_forwarded(method):
    async with upstream(answering(OK)) as model, gateway(model.address) as meter:
        reply = await meter.exchange("/flan/v1/models", None, method=method)
        assert (reply.status in {400, 405}, model.connections) == (True, 0)
