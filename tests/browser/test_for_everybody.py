"""The dashboard on a phone, in the dark, by keyboard, by ear, and without a connection."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.dashboard import NAME
from tests.support.gateway_process import eventually

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{}, PHONE], ids=["desk", "phone"])
def test_nothing_keeps_anybody_from_using_it(visit, scheme, size):
    page = visit(color_scheme=scheme, reduced_motion="reduce", **size)
    assert page.serious_findings() == []
    page.sign_in()
    page.running()
    for title in ("Timeline", "Receipt", "Playground"):
        page.open(title)
        assert page.serious_findings() == []
    page.button("Eject").click()
    assert page.serious_findings() == []
    page.page.keyboard.press("Escape")


def test_a_phone_shows_it_all_without_scrolling_sideways(visit):
    phone = visit(**PHONE)
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert phone.page.evaluate(width) == 0
    phone.sign_in()
    phone.running()
    phone.button("+10 min for").tap()
    expect(phone.note()).to_contain_text("Added 10 minutes")
    for title in ("Timeline", "Receipt", "Playground"):
        phone.open(title)
        assert phone.page.evaluate(width) == 0
    small = phone.page.evaluate(
        "[...document.querySelectorAll('button')].map(one => [one.offsetHeight, one.textContent])"
        ".filter(([height]) => height && height < 32)"
    )
    assert small == []


def test_nothing_on_a_card_sticks_out_of_its_column(visit):
    # Without motion: two places that are measured one after the other are of the same page.
    phone = visit(viewport={"width": 320, "height": 740}, reduced_motion="reduce")
    phone.sign_in()
    phone.open("Timeline")
    sides = (
        "all => all.map(one => one.getBoundingClientRect()).map(({left, right}) => [left, right])"
    )
    for width in (320, 360, 380, 414, 1240):
        phone.page.set_viewport_size({"width": width, "height": 740})
        ((first, last),) = phone.card().locator(".facts").evaluate_all(sides)
        for left, right in phone.card().get_by_role("button").evaluate_all(sides):
            assert first <= left < right <= last
        top = "one => one.getBoundingClientRect().top"
        rows = [phone.button(title).evaluate(top) for title in ("Timeline of", "Eject")]
        assert rows[0] == rows[1] or width < 360


def test_the_dark_is_dark(visit):
    background = "getComputedStyle(document.documentElement).backgroundColor"
    dark = visit(color_scheme="dark").page.evaluate(background)
    light = visit(color_scheme="light").page.evaluate(background)
    assert sum(map(int, dark[4:-1].split(","))) < 120
    assert sum(map(int, light[4:-1].split(","))) > 600


def test_the_docs_are_shown_in_their_style_under_their_policy(visit):
    docs = visit("/prod/docs")  # which has no complaint of the browser in the end
    body = "getComputedStyle(document.body)"
    assert docs.page.evaluate(f"{body}.maxWidth") == "832px"
    docs.page.get_by_role("link", name="openapi.json").click()
    expect(docs.page).to_have_url(re.compile("/prod/openapi.json$"))


def test_a_script_that_got_into_the_docs_would_not_run(visit):
    docs = visit("/docs")
    docs.expected.append("Content Security Policy")
    docs.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'document.title = 1'}))"
    )
    assert docs.page.title().startswith("parkmeter")


def test_the_keyboard_reaches_everything_in_the_order_it_is_read(meters):
    page = meters.page
    meters.running()
    page.reload()
    expect(meters.card()).to_be_visible()
    focused = (
        "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
    )
    reached = []
    for _ in range(13):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(focused).strip())
    assert reached == [
        "Skip to the meters",
        "Docs",
        "Sign out",
        f"+10 min for {NAME}",
        f"+30 min for {NAME}",
        f"+60 min for {NAME}",
        f"Amount to add to {NAME}",
        f"Unit of the amount for {NAME}",
        f"Add this amount to {NAME}",
        f"Timeline of {NAME}",
        f"Receipt of {NAME}",
        f"Playground of {NAME}",
        f"Eject {NAME}",
    ]
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name=f"Eject {NAME}?")).to_be_visible()
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(meters.button("Eject")).to_be_focused()
    assert meters.gateway.endpoint(NAME)["status"] == "running"


def test_a_screen_reader_hears_what_happens_and_not_every_second(meters):
    meters.running()
    timer = meters.card().get_by_role("timer")
    assert "minutes left, until" in timer.get_attribute("aria-label")
    live = "[...document.querySelectorAll('[aria-live], [role=alert], [role=status]')]"
    before = meters.page.evaluate(f"{live}.map(one => one.textContent)")
    shown = meters.seconds()
    eventually(lambda: meters.seconds() < shown - 1, seconds=5)
    assert meters.page.evaluate(f"{live}.map(one => one.textContent)") == before
    meters.button("+10 min for").click()
    expect(meters.page.locator("#announcement")).to_contain_text(f"{NAME}: Added 10 minutes")


def test_who_wants_no_motion_gets_none(visit):
    still = visit(reduced_motion="reduce")
    still.sign_in()
    duration = "getComputedStyle(document.querySelector('.needle')).transitionDuration"
    assert still.page.evaluate(duration) in {"0s", ""}


def test_without_events_the_page_asks_every_few_seconds(visit):
    desk = visit()
    desk.page.clock.install()
    desk.page.route(
        "**/whoami",
        lambda route: route.fulfill(json={**route.fetch().json(), "events": False}),
    )
    desk.sign_in()
    desk.running()
    shown = desk.seconds()
    desk.gateway.request("POST", f"/endpoints/{NAME}/top-ups", {"minutes": 9})
    desk.page.clock.fast_forward(6_000)
    eventually(lambda: desk.seconds() > shown + 480, seconds=8)


def test_where_too_many_listen_the_page_asks_and_later_listens_again(visit):
    desk = visit()
    desk.expected.append("503")
    desk.page.clock.install()
    crowded = {"status": 503, "json": {"code": "too_many_listeners"}}
    desk.page.route("**/events", lambda route: route.fulfill(**crowded), times=1)
    with desk.page.expect_response("**/endpoints"):
        desk.sign_in()
    expect(desk.page.locator("#connection")).to_have_text("live")
    with desk.page.expect_request("**/events"):
        desk.page.clock.fast_forward(61_000)


def test_a_tab_that_nobody_sees_holds_no_connection(meters):
    page = meters.page
    look = (
        "hidden => {"
        " Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/events")):
        page.evaluate(look, True)
    with page.expect_request("**/events"):
        page.evaluate(look, False)
    shown = meters.seconds()
    meters.gateway.request("POST", f"/endpoints/{NAME}/top-ups", {"minutes": 3})
    eventually(lambda: meters.seconds() > shown + 120, seconds=5)


def test_a_lost_connection_is_shown_and_recovers_by_itself(meters):
    meters.running()
    meters.expected += ["Failed to load resource", "ERR_"]
    meters.gateway.stop()
    lost = meters.page.locator("#lost")
    expect(lost).to_contain_text("Connection lost, retrying. You see data from ")
    expect(meters.page.locator("#connection")).to_have_text("no connection")
    shown = meters.seconds()
    eventually(
        lambda: meters.seconds() < shown, seconds=4
    )  # the meter goes on, and so does the dial
    meters.gateway.start()
    expect(lost).to_be_hidden()
    meters.shows("running")
