"""Credentials on the data plane: each form opens it, none reaches a model server."""

from base64 import b64encode

import pytest

from tests.support.gateway_at_work import gateway, on_both_loops
from tests.support.scripted_upstream import OK, Received, ServerEnd, upstream

BASIC = "Basic " + b64encode(b"anyone:t-invoke").decode()
ELSEWHERE = "Origin: https://other.example\r\n"


def keeping(asked: list[Received]):
    async def script(line: ServerEnd) -> None:
        while True:
            head, _ = await line.request()
            asked.append(head)
            await line.send(OK)

    return script


@pytest.mark.parametrize(
    "fields",
    [
        "X-API-Key: t-invoke\r\n",
        "api-key: t-invoke\r\n",
        f"Authorization: {BASIC}\r\n",
        "Authorization: t-invoke\r\nx-api-key: t-invoke\r\nApi-Key: t-invoke\r\n",
        "Authorization: Bearer t-invoke\r\nX-Api-Key:\r\n",
    ],
)
@on_both_loops
async def test_each_form_of_a_token_opens_it_and_none_is_forwarded(fields):
    asked: list[Received] = []
    async with upstream(keeping(asked)) as model, gateway(model.address) as meter:
        client = await meter.client()
        for target in ("/flan", "/flan", "/flan/v1/models"):
            assert (await client.exchange(target, fields=fields, token=None)).status == 200
    assert len(asked) == 3
    for head in asked:
        assert b"t-invoke" not in head.raw
        assert BASIC.encode() not in head.raw
        assert [head[name] for name in ("Authorization", "X-Api-Key", "Api-Key")] == [None] * 3


@pytest.mark.parametrize(
    "fields",
    [
        "X-Api-Key: sk-of-another-service\r\n",
        "Api-Key: t-admin\r\n",
        "X-Api-Key: t-invoke\r\nX-Api-Key: t-invoke\r\n",
    ],
)
@on_both_loops
async def test_two_credentials_in_one_request_are_a_400_and_nothing_is_forwarded(fields):
    asked: list[Received] = []
    async with upstream(keeping(asked)) as model, gateway(model.address) as meter:
        client = await meter.client()
        for _ in range(2):  # the second has the same head, and gets the same answer
            reply = await client.exchange(fields=fields)
            assert (reply.status, reply.json["code"]) == (400, "invalid_request")
            assert b"t-admin" not in reply.body
        assert (await client.exchange()).status == 200
    assert len(asked) == 1


@on_both_loops
async def test_another_token_in_another_header_of_one_connection_is_another_token():
    async with upstream(keeping([])) as model, gateway(model.address) as meter:
        client = await meter.client()
        answers = [
            await client.exchange(fields=fields, token=None)
            for fields in ("X-Api-Key: t-invoke\r\n", "X-Api-Key: t-purse\r\n", "Api-Key: no\r\n")
        ]
    assert [reply.status for reply in answers] == [200, 403, 403]
    assert [reply.json.get("code") for reply in answers[1:]] == ["scope_missing", "token_refused"]


@on_both_loops
async def test_a_password_that_a_browser_may_have_added_is_refused_and_basic_is_never_offered():
    async with upstream(keeping([])) as model, gateway(model.address) as meter:
        fields = f"Authorization: {BASIC}\r\n{ELSEWHERE}"
        reply = await meter.exchange(fields=fields, token=None)
        assert (reply.status, reply.json["code"]) == (403, "token_refused")
        assert "Bearer" in reply.json["detail"]
        assert (await meter.exchange(fields=ELSEWHERE)).status == 200
        reply = await meter.exchange(token=None)
        assert (reply.status, reply.fields["www-authenticate"]) == (401, "Bearer")


@on_both_loops
async def test_a_header_whose_name_only_looks_like_one_is_no_credential():
    asked: list[Received] = []
    async with upstream(keeping(asked)) as model, gateway(model.address) as meter:
        for name in ("x_api_key", "X-Api_Key", "Proxy-Authorization", "X-Authorization"):
            reply = await meter.exchange(fields=f"{name}: t-invoke\r\n", token=None)
            assert reply.status == 401
    assert asked == []
