"""The panels of a card: playground, timeline, receipt."""

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.dashboard import NAME
from tests.support.gateway_process import TOKEN, eventually
from tools.dashboard_pictures import DESKTOP, ENDPOINTS, NOW, RECEIPT, Shot, endpoint, staged

LAPTOP, PHONE = {"width": 1280, "height": 680}, {"width": 360, "height": 740}


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_a_panel_that_somebody_opens_comes_into_sight(shown, size):
    page = shown(ENDPOINTS["mistral"], ENDPOINTS["gemma"], size=size)
    for title in ("Timeline", "Playground", "Receipt"):
        page.page.evaluate("scrollTo(0, 0)")
        page.button(f"{title} of", "mistral").click()
        expect(page.panel.get_by_role("heading", name=title)).to_be_in_viewport()
        top = page.panel.evaluate("panel => panel.getBoundingClientRect().top")
        assert 0 <= top < size["height"] / 2


def test_a_panel_that_opens_by_itself_or_is_in_sight_moves_nothing(shown):
    page = shown(ENDPOINTS["mistral"])
    expect(page.panel.get_by_role("heading", name="Timeline")).to_be_visible()
    page.button("Receipt of", "mistral").click()
    expect(page.panel.get_by_role("heading", name="Receipt")).to_be_visible()
    assert page.page.evaluate("scrollY") == 0


def test_a_prompt_is_answered_by_the_model_piece_by_piece(meters):
    meters.running()
    panel = meters.open("Playground")
    pieces = []

    def grew(text: str) -> None:
        pieces.append(text)

    meters.page.expose_function("grew", grew)
    panel.get_by_label("Prompt").fill("write a story about a fox.")
    answer = panel.get_by_role("region", name="Answer", include_hidden=True)
    answer.evaluate(
        "node => new MutationObserver(() => grew(node.textContent))"
        ".observe(node, {childList: true})"
    )
    panel.get_by_role("button", name="Send").click()
    expect(panel.locator(".hint")).to_contain_text(" s")
    expect(answer).to_contain_text("fox")
    grown = [text for text in pieces if text]
    assert len(grown) > 3
    assert all(late.startswith(early) for early, late in pairwise(grown))


def test_the_command_to_copy_works_and_has_no_token_in_it(meters):
    panel = meters.open("Playground")
    panel.get_by_label("Prompt").fill('it\'s a "test"\nof two lines')
    command = panel.get_by_role("region", name="curl command").text_content()
    assert f"curl {meters.gateway.url}/prod/flan " in command
    assert '"Authorization: $TOKEN"' in command
    assert TOKEN not in command
    assert "it'\\''s a \\\"test\\\"\\nof two lines" in command


def test_a_closed_meter_is_told_in_the_playground_with_what_to_press(meters):
    meters.stopped()
    meters.expected.append("402")
    panel = meters.open("Playground")
    panel.get_by_role("button", name="Send").click()
    said = f"The meter of {NAME} holds no time: press +30 min, then Send."
    expect(panel.locator(".hint")).to_have_text(said)


def test_who_may_not_top_up_is_not_told_to_press_what_is_not_there(meters, visit):
    meters.stopped()
    issued = meters.gateway.request("POST", "/tokens", {"name": "asker", "scopes": ["invoke"]})
    asker = visit()
    asker.sign_in(issued.json["token"])
    asker.expected.append("402")
    panel = asker.open("Playground")
    panel.get_by_role("button", name="Send").click()
    said = f"The meter of {NAME} holds no time: ask a holder of a token with the scope top-up."
    expect(panel.locator(".hint")).to_have_text(said)


def test_a_prompt_that_waits_says_for_what(shown):
    loading = {"reason": "loading model weights, 84 s so far"}
    page = shown(ENDPOINTS["qwen"] | loading, ENDPOINTS["phi"] | {"cause": "exit code 1"})
    page.page.route("**/qwen", lambda route: None)
    page.page.route("**/phi", lambda route: None)
    cases = {
        "qwen": "Waiting for qwen: loading model weights, usually takes 3 min 10 s.",
        "phi": "Waiting for phi: failed, exit code 1; next try at 17:42:58.",
    }
    for name, said in cases.items():
        panel = page.page.get_by_role("region", name=f"Playground of {name}")
        page.button("Playground of", name).click()
        panel.get_by_role("button", name="Send").click()
        expect(panel.locator(".hint")).to_have_text(said)


def test_a_prompt_that_waited_too_long_says_how_the_endpoint_stands(shown):
    page = shown(ENDPOINTS["qwen"])
    page.expected.append("503")
    refused = {"status": 503, "json": {"code": "not_serving", "detail": "Prefer: wait=60 waits."}}
    page.page.route("**/qwen", lambda route: route.fulfill(**refused))
    panel = page.open("Playground", "qwen")
    panel.get_by_role("button", name="Send").click()
    said = (
        "No answer from qwen: loading model weights, usually takes 3 min 10 s. "
        "Send again to keep waiting."
    )
    expect(panel.locator(".hint")).to_have_text(said)


def test_a_chat_model_is_asked_in_its_own_form(meters):
    sent: list[dict] = []
    piece = 'data: {"choices": [{"delta": {"content": "%s"}}]}\n\n'

    def chat(route) -> None:
        sent.append(route.request.post_data_json)
        body = piece % "Good " + piece % "evening" + "data: [DONE]\n\n"
        route.fulfill(body=body, content_type="text/event-stream")

    meters.page.route(f"{meters.gateway.url}/v1/chat/completions", chat)
    panel = meters.open("Playground")
    panel.get_by_label("Request format").select_option("chat")
    command = panel.get_by_role("region", name="curl command")
    expect(command).to_contain_text('"model":"flan-t5"')
    panel.get_by_role("button", name="Send").click()
    expect(panel.get_by_role("region", name="Answer")).to_have_text("Good evening")
    assert sent[0]["model"] == "flan-t5", "which its server's own id replaces, once it is known"
    assert sent[0]["messages"][0]["role"] == "user"


FORMS = {
    "jumpstart": ("/invocations", "text_inputs", "/jumpstart "),
    "vllm": ("/v1/chat/completions", "chat", ":8080/v1/chat/completions "),
    "ollama": ("/api/generate", "chat", ":8080/v1/chat/completions "),
    "on-aws": (None, "text_inputs", "/on-aws "),
}


@pytest.fixture
def playgrounds(chromium: Browser) -> Iterator[Page]:
    """Yield cards of servers that take prompts at different paths, from constant answers."""
    endpoints = [
        endpoint(name, "running", "serving", 900, invocations_path=path)
        for name, (path, _, _) in FORMS.items()
    ]
    with staged(chromium, Shot(tuple(FORMS), DESKTOP), endpoints) as page:
        yield page


def test_the_form_of_a_prompt_follows_the_path_until_somebody_chooses(playgrounds):
    for name, (_, form, address) in FORMS.items():
        button = playgrounds.get_by_role("button", name=f"Playground of {name}")
        panel = playgrounds.get_by_role("region", name=f"Playground of {name}")
        choice = panel.get_by_label("Request format")
        button.click()
        expect(choice).to_have_value(form)
        expect(panel.get_by_role("region", name="curl command")).to_contain_text(address)
        other = "text_inputs" if form == "chat" else "chat"
        choice.select_option(other)
        for _ in range(2):
            button.click()
        expect(choice).to_have_value(other)
        button.click()


def test_where_only_prompts_reach_a_model_a_chat_is_one(playgrounds):
    playgrounds.get_by_role("button", name="Playground of on-aws").click()
    playgrounds.get_by_label("Request format").select_option("chat")
    command = playgrounds.get_by_role("region", name="curl command").text_content()
    assert "/on-aws " in command
    assert '"messages":[{"role":"user"' in command
    assert "stream" not in command


def test_the_timeline_shows_what_ran_who_topped_up_and_the_requests(meters):
    meters.running()
    meters.gateway.request("POST", "/flan", {"text_inputs": "write a story about a fox."})
    panel = meters.open("Timeline")
    expect(panel.locator(".band [data-status=running]").first).to_be_visible()
    expect(panel.locator(".band .tick title").first).to_contain_text("by ")
    expect(panel.locator("canvas")).to_be_visible()
    panel.get_by_text("As a list").click()
    expect(panel.get_by_role("row").nth(1)).to_be_visible()
    for span in ("1 hour", "7 days", "30 days", "24 hours"):
        with meters.page.expect_response("**/timeline?**") as response:
            panel.get_by_role("radio", name=span).check()
        assert response.value.status == 200
        expect(panel.locator(".band rect").first).to_be_visible()
        expect(panel.get_by_text("in all.")).to_be_visible()
    ticks = panel.locator(".band .tick").count()
    meters.button("+10 min for").click()
    eventually(lambda: panel.locator(".band .tick").count() == ticks + 1, seconds=10)


WATCHED = """() => {
  window.drawn = [];
  const fill = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
    const half = this.measureText(text).width / 2;
    if (/[A-Z]/.test(text)) drawn.push([text, x - half, x + half, this.canvas.width]);
    return fill.call(this, text, x, y);
  };
}"""


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("span", ["7 days", "30 days"])
def test_every_day_of_the_timeline_has_one_label_and_none_is_cut_off(shown, size, span):
    page = shown(ENDPOINTS["mistral"], ENDPOINTS["gemma"], size=size)
    page.page.clock.pause_at(NOW + timedelta(hours=6, minutes=30))  # just after midnight
    page.page.evaluate(WATCHED)
    page.page.route("**/timeline?**", lambda route: route.fulfill(json=_stretch(route)))
    panel = page.open("Timeline", "mistral")
    expect(panel.locator("canvas")).to_be_visible()
    page.page.evaluate("drawn.length = 0")
    panel.get_by_role("radio", name=span).check()
    page.page.wait_for_function("drawn.length > 0")
    drawn = page.page.evaluate("drawn")
    days = [text for text, *_ in drawn]
    assert len(days) == len(set(days)) >= 3
    assert all(0 <= left < right <= width for _, left, right, width in drawn)


def _stretch(route: Route) -> dict:
    """Return an empty timeline of the requested period."""
    asked = dict(parse_qsl(urlsplit(route.request.url).query))
    return {**asked, "stretches": [], "top_ups": [], "requests": [], "request_minutes": 60}


def test_the_list_has_a_heading_over_every_column(shown):
    panel = shown(ENDPOINTS["mistral"]).panel
    panel.get_by_text("As a list").click()
    expect(panel.get_by_role("columnheader")).to_have_text(["When", "What", "More"])


@pytest.mark.parametrize("width", [320, 360, 390])
def test_a_receipt_shows_its_costs_on_a_phone(shown, width):
    page = shown(ENDPOINTS["mistral"], size={"width": width, "height": 740})
    who = {"hours_on": 114.25, "minutes_bought": 11870.5}
    parts = [who | {"who": "a-token-of-a-longer-name", "cost": None}]
    parts += [who | {"who": "(nobody)", "cost": "13152.43"}]
    receipt = RECEIPT | {"parts": parts, "cost": None, "hours_on": 1228.5}
    page.page.route("**/receipt?**", lambda route: route.fulfill(json=receipt))
    table = page.open("Receipt", "mistral").get_by_role("region", name="by token")
    expect(table).to_contain_text("unknown")
    assert table.evaluate("one => one.scrollWidth - one.clientWidth") <= 0


def test_the_use_of_a_queue_stands_below_the_total(shown):
    page = shown(ENDPOINTS["mistral"])
    receipt = RECEIPT | {"queue": {"hours_on": 0.5, "cost": "3.5450"}}
    page.page.route("**/receipt?**", lambda route: route.fulfill(json=receipt))
    rows = page.open("Receipt", "mistral").get_by_role("row")
    expect(rows.last).to_contain_text("Its queue, not in the total")
    expect(rows.last).to_contain_text("$3.5")


def test_a_receipt_shows_what_a_million_tokens_cost_where_that_is_known(shown):
    page = shown(ENDPOINTS["mistral"])
    known = {"input_tokens": 1_200_000, "output_tokens": 700_000, "unknown": 3}
    usage = known | {"cost_per_million": "0.4100"}
    page.page.route("**/receipt?**", lambda route: route.fulfill(json=RECEIPT | {"usage": usage}))
    figures = page.open("Receipt", "mistral").locator(".figures")
    expect(figures).to_contain_text("1.9M tokensat most $0.41 a million")


def test_a_make_believe_price_is_marked_on_the_receipt(shown):
    source = {"price_source": "make-believe price of the demo"}
    panel = shown(ENDPOINTS["mistral"] | source).open("Receipt", "mistral")
    expect(panel).to_contain_text("Not real money: make-believe price of the demo.")


def test_the_receipt_has_hours_money_and_names_and_comes_as_csv(meters):
    meters.running()
    panel = meters.open("Receipt")
    expect(panel.locator(".figures")).to_contain_text("Saved")
    expect(panel.get_by_role("row").last).to_contain_text("Total")
    with meters.page.expect_download() as download:
        panel.get_by_role("button", name="Download CSV").click()
    assert NAME in download.value.suggested_filename
    text = download.value.path().read_text(encoding="utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) >= 3
    assert all(len(row) == len(rows[0]) for row in rows)
