"""The dashboard's cards in a real browser: signing in, time, money, eject, and what tokens may."""

import re

from playwright.sync_api import Request, Route, expect

from tests.support.dashboard import NAME
from tests.support.gateway_process import TOKEN, eventually

# ── Signing in ──────────────────────────────────────────────────────────────────────────────────


def test_a_token_that_is_none_is_refused_in_plain_words(visit):
    desk = visit()
    desk.expected.append("403")  # the browser's own line for the refusal
    desk.page.get_by_label("Token", exact=True).fill("unknown-token")
    desk.page.get_by_role("button", name="Sign in").click()
    said = "This token is unknown, expired or revoked."
    expect(desk.page.get_by_role("alert")).to_have_text(said)
    assert desk.page.evaluate("sessionStorage.length") == 0


def test_who_has_no_token_is_told_where_the_first_one_is(visit):
    field = visit().page.get_by_label("Token", exact=True)
    expect(field).to_have_accessible_description(re.compile(r"~/\.local/state/parkmeter/token"))


def test_a_token_stays_in_the_tab_and_nowhere_else(meters):
    page = meters.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    expect(meters.card()).to_be_visible()
    assert page.evaluate("sessionStorage.getItem('parkmeter.token')") == TOKEN
    assert page.evaluate("localStorage.length") == 0
    assert page.context.cookies() == []
    assert not [url for url in asked if TOKEN in url]
    assert TOKEN not in page.content()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token", exact=True)).to_be_focused()
    assert page.evaluate("sessionStorage.length") == 0
    expect(meters.card()).to_have_count(0)


def test_the_page_sends_no_cookie_of_another_application(meters, gateway):
    page = meters.page
    page.context.add_cookies([{"name": "session", "value": "of-another", "url": gateway.url}])
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))  # noqa: PLW0108 (Playwright marks it)
    page.reload()
    expect(meters.card()).to_be_visible()
    sent = [request.all_headers() for request in asked]
    calls = [headers for headers in sent if "authorization" in headers]
    assert calls
    assert not [headers for headers in calls if "cookie" in headers]
    page.context.clear_cookies()


def test_the_page_works_below_the_stage_with_and_without_a_slash(visit):
    for path in ("/prod/", "/prod"):
        desk = visit(path)
        desk.sign_in()
        assert desk.page.url.endswith("/prod/")
        link = desk.page.get_by_role("link", name="Docs")
        assert link.evaluate("link => link.href").endswith("/prod/docs")


def test_what_a_token_may_not_do_is_not_offered(visit, gateway):
    issued = gateway.request("POST", "/tokens", {"name": "looker", "scopes": []}).json["token"]
    desk = visit()
    desk.sign_in(issued)
    expect(desk.card().get_by_role("button")).to_have_text(["Timeline", "Receipt"])
    expect(desk.page.get_by_text("looker")).to_be_visible()


def test_who_sees_nothing_is_told_and_the_next_one_is_not(visit):
    desk = visit()
    stranger = {"name": "stranger", "scopes": [], "endpoints": ["gone"], "events": False}
    desk.page.route("**/whoami", lambda route: route.fulfill(json=stranger))
    desk.page.route("**/endpoints", lambda route: route.fulfill(json={"endpoints": []}))
    desk.page.get_by_label("Token", exact=True).fill(TOKEN)
    desk.page.get_by_role("button", name="Sign in").click()
    nothing = desk.page.get_by_text("This token sees no endpoint.")
    expect(nothing).to_be_visible()
    desk.page.get_by_role("button", name="Sign out").click()
    expect(nothing).to_be_hidden()
    desk.page.unroute_all()
    desk.sign_in()
    expect(desk.card()).to_be_visible()
    expect(nothing).to_be_hidden()


def test_a_token_that_is_revoked_while_somebody_looks_signs_them_out(visit, gateway):
    issued = gateway.request("POST", "/tokens", {"name": "leaver"}).json
    desk = visit()
    desk.expected.append("403")
    desk.sign_in(issued["token"])
    gateway.request("DELETE", f"/tokens/{issued['id']}")
    desk.expected.append("403")
    expect(desk.page.get_by_role("alert")).to_contain_text("revoked", timeout=20_000)


# ── Time ────────────────────────────────────────────────────────────────────────────────────────


def test_a_top_up_starts_the_model_and_the_dial_moves_every_second(meters):
    meters.stopped()
    assert meters.time() == "0:00"
    meters.button("+30 min for").click()
    expect(meters.note()).to_contain_text("Added 30 minutes for $0.60. On until")
    meters.shows("running")
    shown = meters.seconds()
    assert 1500 < shown <= 1800
    eventually(lambda: meters.seconds() < shown, seconds=3)
    needle = meters.card().locator(".needle")
    before = needle.evaluate("one => one.style.transform")
    eventually(lambda: needle.evaluate("one => one.style.transform") != before, seconds=3)
    assert meters.page.title().endswith("flan-t5 · parkmeter")


def test_somebody_elses_top_up_is_seen_without_asking(meters):
    meters.running()
    shown = meters.seconds()
    meters.gateway.request("POST", f"/endpoints/{NAME}/top-ups", {"minutes": 7})
    eventually(lambda: meters.seconds() > shown + 400, seconds=10)


def test_a_double_click_adds_once(meters):
    meters.running()
    before = len(meters.added())
    meters.button("+10 min for").dblclick()
    expect(meters.note()).to_contain_text("Added 10 minutes")
    meters.page.wait_for_timeout(800)  # past the time in which a press belongs to the one before
    assert len(meters.added()) == before + 1
    meters.button("+10 min for").click()
    eventually(lambda: len(meters.added()) == before + 2)


def test_a_press_again_after_a_lost_answer_adds_once(meters):
    meters.running()
    before = len(meters.added())
    meters.expected.append("Failed to load resource")

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    meters.page.route("**/top-ups", lose, times=1)
    meters.button("+10 min for").click()
    expect(meters.note()).to_contain_text("No reply, so we can't tell if it went through.")
    meters.page.wait_for_timeout(800)
    meters.button("+10 min for").click()
    expect(meters.note()).to_contain_text("Added 10 minutes")
    assert len(meters.added()) == before + 1


def test_any_amount_can_be_added_and_a_limit_is_explained(meters):
    meters.running()
    amount = meters.card().get_by_label(f"Amount to add to {NAME}")
    amount.fill("1.5")
    amount.press("Enter")
    expect(meters.note()).to_contain_text("Added 1.5 minutes")
    amount.fill("100000")
    meters.expected.append("422")
    amount.press("Enter")
    expect(meters.note()).to_contain_text("At most 240 minutes may be added at once")
    assert meters.added()[0] == 1.5


def test_dollars_buy_minutes_where_the_price_is_known(meters):
    meters.running()
    meters.card().get_by_label(f"Amount to add to {NAME}").fill("0.10")
    meters.card().get_by_label("Unit").select_option("dollars")
    meters.button("Add this amount to").click()
    expect(meters.note()).to_contain_text("Added 5 minutes for $0.10")
    broken = meters.card("broken").get_by_label("Unit")
    assert broken.locator("option").all_text_contents() == ["minutes"]


def test_the_dial_turns_amber_at_the_first_warning_and_red_at_the_last(meters):
    meters.stopped()
    for minutes, tone in ((1.5, "last"), (4, "first"), (30, "running")):
        meters.gateway.request("POST", f"/endpoints/{NAME}/top-ups", {"minutes": minutes})
        expect(meters.card()).to_have_attribute("data-tone", tone)


def test_price_spent_and_the_weekend_are_told(meters):
    meters.running()
    facts = meters.card().locator(".facts")
    expect(facts).to_contain_text("$1.20 an hour")
    expect(facts).to_contain_text(re.compile(r"Spent since the start\$0\.\d\d"))
    expect(facts).to_contain_text(re.compile(r"If left on until Mon 09:00|until .* 09:00"))
    expect(meters.card("broken").locator(".facts")).to_contain_text("unknown")


def test_a_failure_is_told_with_its_reason_and_the_next_try(meters):
    meters.button("+10 min for", "broken").click()
    meters.shows("failed", "broken")
    expect(meters.card("broken").locator(".reason")).to_have_text("Exit code 1.")
    expect(meters.card("broken")).to_contain_text("Next try at")
    meters.gateway.request("POST", "/endpoints/broken/eject")


# ── Eject ───────────────────────────────────────────────────────────────────────────────────────


def test_an_eject_is_asked_about_and_then_done(meters):
    meters.running()
    page = meters.page
    meters.button("Eject").click()
    expect(page.get_by_role("dialog")).to_contain_text("Ejecting stops it at once and gives up")
    page.get_by_role("button", name="Keep it").click()
    assert meters.gateway.endpoint(NAME)["seconds_left"] > 0
    meters.button("Eject").click()
    page.get_by_role("dialog").get_by_role("button", name="Eject").click()
    expect(meters.note()).to_contain_text("given up")
    meters.shows("stopped")
    assert meters.time() == "0:00"
    expect(meters.button("Eject")).to_be_disabled()


def test_who_topped_up_while_somebody_hesitated_is_not_ejected(meters):
    meters.running()
    meters.expected.append("409")
    meters.button("Eject").click()
    meters.gateway.request("POST", f"/endpoints/{NAME}/top-ups", {"minutes": 5})
    meters.page.get_by_role("dialog").get_by_role("button", name="Eject").click()
    expect(meters.note()).to_contain_text("topped up or ejected since")
    assert meters.gateway.endpoint(NAME)["status"] == "running"
