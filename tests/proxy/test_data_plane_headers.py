"""Header fields that do not pass: cookies, what proxies report; and those sent with a document."""

import pytest

from parkmeter.web.headers import OwnHeaders
from parkmeter.web.routes import Route, Routes
from tests.support.gateway_at_work import gateway, on_both_loops
from tests.support.scripted_upstream import OK, Received, ServerEnd, answering, upstream

COOKIES = "Cookie: session=of-another-application\r\nCookie2: x\r\n"
SETTING = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b; Path=/\r\nSet-Cookie2: c\r\n"
    b'Clear-Site-Data: "cookies"\r\nContent-Type: application/json\r\n\r\n{}'
)
NOSNIFF, POLICY = "x-content-type-options", "content-security-policy"


def keeping(asked: list[Received], answer: bytes = OK):
    async def script(line: ServerEnd) -> None:
        while True:
            head, _ = await line.request()
            asked.append(head)
            await line.send(answer)

    return script


# ── Cookies ─────────────────────────────────────────────────────────────────────────────────────


@on_both_loops
async def test_cookies_pass_in_neither_direction():
    asked: list[Received] = []
    async with upstream(keeping(asked, SETTING)) as model, gateway(model.address) as meter:
        for target in ("/flan", "/flan/v1/models"):
            reply = await meter.exchange(target, fields=COOKIES)
            assert not {"set-cookie", "set-cookie2", "clear-site-data"} & set(reply.fields)
    assert [(head["Cookie"], head["Cookie2"]) for head in asked] == [(None, None)] * 2


@on_both_loops
async def test_cookies_pass_where_the_endpoint_says_so():
    asked: list[Received] = []
    async with (
        upstream(keeping(asked, SETTING)) as model,
        gateway(model.address, cookies=True) as meter,
    ):
        reply = await meter.exchange(fields=COOKIES)
    assert reply.fields["set-cookie"] == "a=b; Path=/"
    assert asked[0]["Cookie"] == "session=of-another-application"


@on_both_loops
async def test_a_reload_stops_cookies_also_on_a_connection_that_repeats_its_head():
    asked: list[Received] = []
    async with (
        upstream(keeping(asked, SETTING)) as model,
        gateway(model.address, cookies=True) as meter,
    ):
        client = await meter.client()
        for _ in range(2):
            assert "set-cookie" in (await client.exchange(fields=COOKIES)).fields
        meter.plane.routes = Routes([Route("flan-t5", "flan")])
        for _ in range(2):
            assert "set-cookie" not in (await client.exchange(fields=COOKIES)).fields
    assert [head["Cookie"] is None for head in asked] == [False, False, True, True]


# ── What proxies report ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name",
    [
        "X-Real-IP",
        "X-Forwarded-For",
        "X-Forwarded-Prefix",
        "X-Forwarded-User",
        "X-Forwarded",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Remote-User",
        "Remote-User",
        "Proxy",
        "Parkmeter-Proxy-Secret",
        "X-OpenWebUI-User-Email",
        "X-OpenWebUI-User-Jwt",
        "Tailscale-User-Login",
        "X_Forwarded_For",
        "Content_Length",
        "X-Real_IP",
        "_",
    ],
)
@on_both_loops
async def test_a_client_cannot_forge_what_a_proxy_reports(name):
    asked: list[Received] = []
    async with upstream(keeping(asked)) as model, gateway(model.address) as meter:
        fields = f"{name}: 10.0.0.1\r\n{name.lower()}: 10.0.0.2\r\nX-Kept: 1\r\n"
        assert (await meter.exchange(fields=fields)).status == 200
    assert b"10.0.0." not in asked[0].raw
    assert asked[0]["X-Kept"] == "1"
    assert asked[0]["Forwarded"] == 'for=127.0.0.1;host="gateway.test:8080";proto=http'


# ── Headers of an endpoint's own ────────────────────────────────────────────────────────────────

OWN = OwnHeaders.of({"X-Api-Key": "of-the-server", "X-Team": "a b"}, ["X-Person"])


@on_both_loops
async def test_a_server_gets_its_own_headers_in_place_of_the_client_s():
    asked: list[Received] = []
    async with upstream(keeping(asked)) as model, gateway(model.address, own_headers=OWN) as meter:
        client = await meter.client()
        for fields in (
            "",
            "x-team: forged\r\nX-Person: eve\r\nX_Api_Key: forged\r\n",
            "Connection: keep-alive, X-Api-Key, X-Team\r\n",
        ):
            assert (await client.exchange(fields=fields)).status == 200
        assert (await client.exchange(fields="x-api-key: t-invoke\r\n", token=None)).status == 200
    for head in asked:
        assert head.raw.lower().count(b"x-api-key: of-the-server\r\n") == 1
        assert head.raw.lower().count(b"x-api-key") == 1
        assert head.raw.count(b"X-Team: a b\r\n") == 1
        assert not any(word in head.raw for word in (b"forged", b"eve", b"t-invoke"))


@on_both_loops
async def test_a_reload_changes_them_also_on_a_connection_that_repeats_its_head():
    asked: list[Received] = []
    async with upstream(keeping(asked)) as model, gateway(model.address, own_headers=OWN) as meter:
        client = await meter.client()
        await client.exchange()
        meter.plane.routes = Routes([Route("flan-t5", "flan")])
        await client.exchange()
    assert [head["X-Api-Key"] for head in asked] == ["of-the-server", None]


def test_they_are_not_shown():
    assert "of-the-server" not in repr(Route("flan-t5", "flan", own_headers=OWN))


# ── Documents ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "kind",
    [
        "text/html",
        "TEXT/HTML; charset=utf-8",
        "application/xhtml+xml",
        "image/svg+xml",
        "text/xml",
        "application/xml; charset=utf-8",
        "application/atom+xml",
        "text/plain, text/html",
        "multipart/x-mixed-replace; boundary=x",
    ],
)
@on_both_loops
async def test_a_document_of_a_model_runs_nothing_in_the_gateway_s_origin(kind):
    body = b"<script>fetch('/prod/tokens')</script>"
    answer = (
        f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nETag: x\r\n"
        f"Content-Security-Policy: img-src *\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    async with upstream(answering(answer)) as model, gateway(model.address) as meter:
        reply = await meter.exchange("/flan/index.html", None, method="GET")
    assert reply.fields[NOSNIFF] == "nosniff"
    assert reply.fields[POLICY] == "img-src *, sandbox"
    assert (reply.body, reply.fields["content-type"], reply.fields["etag"]) == (body, kind, "x")


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        "text/event-stream",
        "text/plain",
        "application/octet-stream",
        "audio/mpeg",
    ],
)
@on_both_loops
async def test_any_other_answer_comes_as_the_model_gave_it(kind):
    answer = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    async with upstream(answering(answer)) as model, gateway(model.address) as meter:
        reply = await meter.exchange()
    assert not {NOSNIFF, POLICY} & set(reply.fields)


@on_both_loops
async def test_an_answer_without_a_type_runs_nothing_either():
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n<script>"
    async with upstream(answering(page)) as model, gateway(model.address) as meter:
        reply = await meter.exchange()
    assert (reply.fields[NOSNIFF], reply.fields[POLICY]) == ("nosniff", "sandbox")


@on_both_loops
async def test_a_model_sets_no_policy_for_the_gateway_s_host():
    lines = (
        b'Strict-Transport-Security: max-age=9\r\nAlt-Svc: h3=":1"\r\nNEL: {}\r\n'
        b"Report-To: {}\r\nService-Worker-Allowed: /\r\nTiming-Allow-Origin: *\r\n"
        b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n"
        b'Access-Control-Expose-Headers: *\r\nWWW-Authenticate: Basic realm="x"\r\n'
    )
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + lines + b"\r\nok"
    async with upstream(answering(answer)) as model, gateway(model.address) as meter:
        fields = set((await meter.exchange(fields="Origin: https://a.example\r\n")).fields)
    assert not fields & {
        "access-control-allow-credentials",
        "access-control-allow-origin",
        "access-control-expose-headers",
        "timing-allow-origin",
        "www-authenticate",
        "strict-transport-security",
        "alt-svc",
        "nel",
        "report-to",
        "service-worker-allowed",
    }


@on_both_loops
async def test_a_document_on_a_connection_says_nothing_of_the_answers_behind_it():
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"
    async with upstream(answering(page, OK)) as model, gateway(model.address) as meter:
        client = await meter.client()
        assert POLICY in (await client.exchange()).fields
        assert POLICY not in (await client.exchange()).fields
        assert model.connections == 1
