"""Problems of the data plane, in the form that each kind of client reads."""

from datetime import timedelta
from decimal import Decimal

import pytest

from parkmeter.core.meter import Status
from parkmeter.core.status import View
from parkmeter.proxy.data_plane import DataPlane
from parkmeter.proxy.gate import LocalGate
from parkmeter.web import refusals
from parkmeter.web.routes import Route, Routes
from tests.support.gateway_at_work import NOON, book, gateway, on_uvloop
from tests.support.scripted_upstream import answering, upstream

URL = "http://gateway.test:8080/endpoints/flan-t5/top-ups"
CALL = f"curl '{URL}' -H 'Authorization: '$TOKEN -d minutes=30"


@on_uvloop
async def test_every_problem_repeats_itself_for_clients_of_openai_and_of_aws():
    async with gateway() as meter:
        meter.show(Status.STOPPED, minutes=0)
        for target in ("/flan", "/flan/v1/chat/completions", "/prod/flan"):
            said = (await meter.exchange(target)).json
            detail = said["detail"]
            assert detail.endswith(CALL.replace("8080/", "8080/prod/", target.startswith("/prod")))
            assert said["type"] == "urn:parkmeter:problem:meter_closed"
            assert said["message"] == said["error"]["message"] == detail
            assert (said["error"]["code"], said["error"]["param"]) == ("meter_closed", None)
            assert said["error"]["type"] == "billing_error"
            assert said["error"]["top_up"] == said["top_up"]
        twice = await meter.exchange(fields="Authorization: t-late\r\n")
    assert twice.json["error"]["param"] == twice.json["field"] == "Authorization"


@on_uvloop
async def test_a_402_says_that_its_call_takes_a_scope_that_the_token_has_not():
    async with gateway() as meter:
        meter.show(Status.STOPPED, minutes=0)
        said = (await meter.exchange(token="t-invoke")).json["detail"]
        other = (await meter.exchange(token="t-ada")).json["detail"]
    hint = ", with a token that has the scope 'top-up' (yours has not), then"
    assert hint in said
    assert said.endswith(CALL)
    assert other == said.replace(hint, ", then")


@pytest.mark.parametrize("begin", ["/flan", "/prod/flan"])
@on_uvloop
async def test_clients_of_anthropic_get_their_own_form(begin):
    async with gateway() as meter:
        meter.show(Status.STOPPED, minutes=0)
        closed = await meter.exchange(f"{begin}/v1/messages")
        refused = await meter.exchange(f"{begin}/v1/messages/count_tokens", token=None)
        meter.show(Status.STARTING)
        starting = await meter.exchange(f"{begin}/v1/messages?beta=true")
        broken = await meter.exchange(f"{begin}/v1/messages", fields="Transfer-Encoding: x\r\n")
    said = closed.json
    assert (said["type"], said["error"]["type"]) == ("error", "billing_error")
    assert said["error"]["message"] == said["detail"]
    assert (said["code"], said["title"]) == ("meter_closed", "The meter is closed")
    assert said["request_id"] == closed.fields["request-id"]
    assert said["request_id"].startswith("req_")
    assert said["request_id"] != refused.json["request_id"]
    assert closed.fields["content-type"] == "application/json"
    assert refused.json["error"]["type"] == "authentication_error"
    assert refused.fields["www-authenticate"]
    assert (starting.status, starting.json["error"]["type"]) == (503, "overloaded_error")
    assert starting.fields["retry-after"]
    assert (broken.json["type"], broken.json["error"]["type"]) == ("error", "invalid_request_error")


@on_uvloop
async def test_a_head_that_cannot_be_read_is_refused_in_the_form_of_its_path():
    async with gateway() as meter:
        large = f"X-Large: {'x' * 70_000}\r\n"
        for target in ("/flan/v1/messages", "/none/v1/messages", "/prod/v1/messages"):
            reply = await meter.exchange(target, fields=large)
            assert (reply.status, reply.json["type"]) == (431, "error")
        plain = await meter.exchange("/flan/v1/models", fields=large)
    assert plain.json["type"] == "urn:parkmeter:problem:headers_too_large"


@on_uvloop
async def test_an_error_of_the_model_server_passes_as_it_is():
    body = b'{"error":"mine"}'
    answer = b"HTTP/1.1 402 X\r\nContent-Type: a/b\r\nContent-Length: 16\r\n\r\n" + body
    async with upstream(answering(answer)) as model, gateway(model.address) as meter:
        reply = await meter.exchange("/flan/v1/messages")
    assert (reply.status, reply.body, reply.fields["content-type"]) == (402, body, "a/b")
    assert "request-id" not in reply.fields


@on_uvloop
async def test_no_top_up_is_advised_that_the_holder_of_the_device_would_keep_from_being_made():
    async with gateway(device="gpu0") as meter:
        meter.show(Status.STOPPED, minutes=0)
        meter.show(Status.STARTING, minutes=60, name="other")
        busy = (await meter.exchange()).json
        meter.clock.at += timedelta(minutes=60)
        free = (await meter.exchange()).json
    assert (busy["code"], busy["price_per_hour"], busy["top_up"]) == ("meter_closed", 1.1, None)
    assert (busy["device"], busy["held_by"]) == ("gpu0", "other")
    assert busy["held_until"] == "2027-03-01T13:00:00Z"
    assert busy["detail"] == (
        "The meter of 'flan-t5' holds no time, and gpu0 is held by 'other' until 2027-03-01 "
        "13:00:00 UTC: a top-up would be refused now. Wait until then, or eject 'other'. After "
        "that add 30 minutes ($0.55 at $1.10 an hour), and send this request again."
    )
    assert free["top_up"]["curl"] == CALL
    assert "held_by" not in free


def test_a_device_is_held_by_an_open_meter_configured_for_it_or_running_on_it():
    devices = {"flan": "gpu0", "moved": "gpu1", "closed": "gpu0", "apart": None}
    routes = [Route(name, name, device=device) for name, device in devices.items()]
    gate = LocalGate(lambda: NOON)
    plane = DataPlane(Routes(routes), book(), gate, lambda: NOON)

    def show(name: str, version: int, minutes: int, device: str | None = None) -> None:
        close = NOON + timedelta(minutes=minutes)
        gate.show(View(name, version, close, close, Status.RUNNING, "", None, None, device))

    show("flan", 1, 10, "gpu0")
    show("closed", 1, 0, "gpu0")
    show("apart", 1, 10)
    assert plane.device_holder(routes[0]) is None
    show("moved", 1, 10, "gpu0")
    assert plane.device_holder(routes[0]).name == "moved"
    show("moved", 2, 10, "gpu1")
    assert plane.device_holder(routes[0]) is None
    show("closed", 2, 10)
    assert plane.device_holder(routes[0]).name == "closed"
    assert plane.device_holder(routes[3]) is None


@pytest.mark.parametrize(
    ("price", "bought"),
    [
        (None, "Add 30 minutes, then"),
        (Decimal("0.82"), "Add 30 minutes ($0.41 at $0.82 an hour), then"),
    ],
)
def test_a_402_is_one_sentence_with_price_and_call_and_no_quoting_that_json_would_escape(
    price, bought
):
    closed = refusals.meter_closed(Route("qwen", "q", price_per_hour=price), None, "https://a/prod")
    assert bought in closed.detail
    assert closed.detail.endswith(
        "again: curl 'https://a/prod/endpoints/qwen/top-ups' -H 'Authorization: '$TOKEN "
        "-d minutes=30"
    )
    assert not set('"\\\n') & set(closed.detail)
