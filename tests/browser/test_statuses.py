"""Cards in states that are slow to reach with a real gateway, from constant answers."""

import pytest
from playwright.sync_api import Locator, expect

from tests.support.dashboard import Visit
from tools.dashboard_pictures import ENDPOINTS, RECEIPT, SHOTS, endpoint, staged


def card(visit: Visit, name: str) -> Locator:
    return visit.card(name)


def test_a_start_shows_since_when_and_how_long_it_usually_takes(shown):
    page = shown(ENDPOINTS["qwen"])
    expect(card(page, "qwen").get_by_role("progressbar")).to_have_attribute("max", "190")
    expect(card(page, "qwen")).to_contain_text("Starting for 1 min 26 s, usually takes 3 min 10 s")


@pytest.mark.parametrize("name", ["qwen", "phi"])
def test_a_meter_that_stands_still_is_paused_and_does_not_tick(shown, name):
    page = shown(ENDPOINTS[name])
    before, under = page.time(name), card(page, name).locator(".under")
    expect(under).to_have_text("paused")
    page.page.route("**/endpoints", lambda route: route.abort())
    page.page.clock.run_for(10_000)
    expect(page.page.locator("#connection")).to_have_text("no connection")
    assert page.time(name) == before
    expect(under).to_have_text("paused")


def test_a_meter_whose_start_used_its_credit_up_counts(shown):
    page = shown(ENDPOINTS["phi"])  # every answer has the same close
    page.page.clock.run_for(8_000)
    expect(card(page, "phi").locator(".under")).to_have_text("until 18:03")
    page.page.route("**/endpoints", lambda route: route.abort())
    before = page.seconds("phi")
    page.page.clock.run_for(3_000)
    assert page.seconds("phi") < before


def test_how_long_a_start_takes_so_far_is_said_once(shown):
    page = shown(ENDPOINTS["qwen"] | {"reason": "loading model weights, 1 min 24 s so far"})
    expect(card(page, "qwen").locator(".reason")).to_have_text("Loading model weights.")


def test_what_a_weekend_costs_is_told_of_what_is_on(shown):
    page = shown(ENDPOINTS["llama"], ENDPOINTS["mistral"])
    expect(card(page, "mistral").get_by_text("If left on until")).to_be_visible()
    expect(card(page, "llama").get_by_text("If left on until")).to_be_hidden()


def test_who_told_a_price_is_said_where_it_was_not_the_configuration(shown):
    cases = {"configured": "configuration", "looked-up": "built-in table of 2026"}
    page = shown(
        *(
            endpoint(name, "running", "serving", 900, price_per_hour=1.2, price_source=source)
            for name, source in cases.items()
        )
    )
    expect(card(page, "configured").locator(".facts")).to_contain_text("$1.20 an hour")
    expect(card(page, "configured").locator(".facts")).not_to_contain_text("configuration")
    expect(card(page, "looked-up").locator(".facts")).to_contain_text("(built-in table of 2026)")


def test_an_eject_is_asked_about_as_what_is_still_to_come(shown):
    page = shown(ENDPOINTS["mistral"])
    page.button("Eject", "mistral").click()
    expect(page.page.get_by_role("dialog")).to_contain_text(
        "Ejecting stops it at once and gives up the 8 minutes on its meter."
    )


def test_a_failure_shows_the_providers_words_and_the_next_try(shown):
    phi = ENDPOINTS["phi"]
    page = shown(phi | {"reason": f"{phi['cause']}; trying again at 17:42:58 UTC"})
    words = card(page, "phi").locator(".reason")
    expect(words).to_have_text(f"{phi['cause']}.")
    expect(card(page, "phi")).to_contain_text("no capacity for ml.g5.12xlarge")
    expect(card(page, "phi")).to_contain_text("Next try at 17:42:58; 2 attempts so far.")


def test_hours_are_told_with_what_comes_next(shown):
    hours = "Mon-Fri 09:00-17:00 Europe/London"
    monday = {"next_window_at": "2026-11-23T09:00:00Z"}
    cases = {
        "in-a-window": ({"window_until": "2026-11-20T19:00:00Z"}, f"{hours}: on until 19:00"),
        "between-windows": (monday, f"{hours}, next Mon 09:00"),
        "ejected-in-one": ({"held": True, **monday}, f"{hours}: ejected, next Mon 09:00"),
    }
    page = shown(
        *(
            endpoint(name, "running", "serving", 900, hours=hours, **more)
            for name, (more, _) in cases.items()
        )
    )
    for name, (_, said) in cases.items():
        expect(card(page, name).locator(".facts")).to_contain_text(said)


def test_what_servers_say_is_text_and_never_markup(shown):
    page = shown(endpoint("llama", "failed", "<img src=x onerror=alert(1)>", 900, attempts=1))
    expect(card(page, "llama").locator(".reason")).to_have_text("<img src=x onerror=alert(1)>.")
    assert card(page, "llama").locator("img").count() == 0


def test_a_dial_reaches_as_far_as_its_time(shown):
    cases = {
        59: ("0:59", "60"),
        5_400: ("1:30:00", "120"),
        50_000: ("13:53:20", "24"),
        600_000: ("6 d 22:40:00", "8"),
    }
    page = shown(
        *(endpoint(f"on-{left}-s", "starting", "loading", left, still=1) for left in cases)
    )
    for left, (time, reach) in cases.items():
        name = f"on-{left}-s"
        assert page.time(name) == time
        labels = card(page, name).locator(".ticks text").all_text_contents()
        assert (labels[0], labels[-2]) == ("0", reach)


def test_a_price_that_is_unknown_is_never_shown_as_nothing(shown):
    page = shown(endpoint("llama", "running", "serving", 900))
    facts = card(page, "llama").locator(".facts")
    expect(facts).to_contain_text("Priceunknown")
    expect(facts).to_contain_text("Spent since the startunknown")
    assert "$" not in facts.text_content()


def test_dollars_are_offered_where_they_buy_minutes(shown):
    cases = {"unknown": (None, 1), "free": (0, 1), "priced": (1.2, 2)}
    page = shown(
        *(
            endpoint(name, "running", "serving", 900, price_per_hour=price)
            for name, (price, _) in cases.items()
        )
    )
    for name, (_, units) in cases.items():
        expect(card(page, name).get_by_label("Unit").locator("option")).to_have_count(units)


def test_what_was_saved_is_green_only_if_something_was(shown):
    page = shown(endpoint("llama", "running", "serving", 900))
    cases = {"$3.10": "3.1000", "$0.00": "0.0000", "unknown": None}
    answers = iter(RECEIPT | {"saved": saved} for saved in cases.values())
    page.page.route("**/receipt?**", lambda route: route.fulfill(json=next(answers)))
    for said in cases:
        figures = page.open("Receipt", "llama").locator(".figures dd")
        expect(figures.last).to_have_text(said)
        colours = figures.evaluate_all("all => all.map(one => getComputedStyle(one).color)")
        assert (colours[3] != colours[1]) is (said == "$3.10")
        page.button("Receipt of", "llama").click()


@pytest.mark.parametrize("dark", [False, True])
def test_every_status_can_be_read_by_everybody(shown, dark):
    page = shown(*ENDPOINTS.values(), dark=dark)
    page.page.clock.resume()  # axe waits between its rules
    assert page.serious_findings() == []


def test_the_pictures_can_be_taken(chromium):
    for shot in SHOTS.values():
        with staged(chromium, shot) as page:
            assert page.screenshot()
