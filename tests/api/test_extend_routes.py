"""The pages of the link in a warning, over a whole parkmeter on a wound clock."""

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest
from starlette.testclient import TestClient

from parkmeter.api.app import control_app
from parkmeter.api.dependencies import ApiContext
from parkmeter.api.extend_routes import add_extend_routes
from parkmeter.core.extend_link import LinkLateError, Offer, link_of, offer_for
from parkmeter.core.journal import Entry, Kind
from parkmeter.core.meter import Spec
from parkmeter.web.auth import TokenBook
from tests.support.world import ADA, MINUTE, World, spec

SECRET = b"s" * 32


@dataclass
class Warned:
    """An endpoint two minutes before its close, and the link of its warning."""

    world: World
    client: TestClient
    offer: Offer

    @property
    def link(self) -> str:
        return link_of(self.offer, SECRET)

    @property
    def path(self) -> str:
        return f"/extend/{self.link}"

    def lines(self, kind: Kind) -> list[Entry]:
        return [e for e in self.world.service.journal("flan-t5", 100) if e.kind is kind]


def warned_of(one: Spec) -> Warned:
    one = replace(one, startup_credit=timedelta(0))  # so that the expiry is a round one
    world = World(one)
    control = ApiContext(world.service, TokenBook(), str, lambda: world.now)
    app = control_app(control)
    add_extend_routes(app, control, lambda: SECRET, world.store.entry)
    client = TestClient(app, raise_server_exceptions=False)
    world.top_up(12)
    world.wind(11 * MINUTE)
    warning = next(e for e in world.service.journal("flan-t5", 9) if e.kind is Kind.WARNING)
    return Warned(world, client, offer_for(warning, one))


@pytest.fixture
def warned() -> Warned:
    return warned_of(spec(price_per_hour=Decimal("7.09")))


def test_opening_the_link_shows_what_it_would_do_and_changes_nothing(warned):
    left = warned.world.left()
    for _ in range(3):  # mail scanners
        page = warned.client.get(warned.path)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for words in (
        "Add 30 minutes to flan-t5?",
        "is running",
        "$7.09",
        "30 minutes cost</dt><dd>$3.54",
        "UTC",
        "Time left",
    ):
        assert words in page.text
    assert page.text.count("<button") == page.text.count('<form method="post">') == 1
    assert warned.world.left() == left
    assert len(warned.lines(Kind.TOP_UP)) == 1


def test_the_button_adds_the_minutes_and_the_journal_says_that_it_was_a_link(warned):
    before = warned.world.left()
    page = warned.client.post(warned.path)
    assert page.status_code == 200
    assert "30 minutes added to flan-t5" in page.text
    assert warned.world.left() == before + 30 * MINUTE
    line = warned.lines(Kind.TOP_UP)[0]
    assert (line.who, line.amount) == ("link in a warning", 30 * MINUTE)


def test_a_link_works_once_however_it_is_asked(warned):
    assert warned.client.post(warned.path).status_code == 200
    left = warned.world.left()
    for page in (warned.client.post(warned.path), warned.client.get(warned.path)):
        assert page.status_code == 409
        assert "This link was used already" in page.text
        assert "added 30 minutes to flan-t5 at" in page.text
        assert "<button" not in page.text
    assert warned.world.left() == left


def test_a_used_link_of_an_endpoint_that_is_configured_no_more_is_a_page_too(warned):
    assert warned.client.post(warned.path).status_code == 200
    warned.world.service.configure({})
    page = warned.client.get(warned.path)
    assert page.status_code == 409
    assert "This link was used already" in page.text


def test_a_link_that_was_changed_is_no_link(warned):
    for link in (warned.link[:-4], "x" + warned.link, "nonsense", "%00", "a.b.c"):
        for page in (warned.client.get(f"/extend/{link}"), warned.client.post(f"/extend/{link}")):
            assert page.status_code == 404
            assert "This link does not work" in page.text


def test_a_link_after_its_expiry_comes_too_late(warned):
    warned.world.wind(2 * MINUTE)
    for page in (warned.client.get(warned.path), warned.client.post(warned.path)):
        assert page.status_code == 410
        assert "too late" in page.text
    assert warned.world.status() == "stopped"


def test_a_link_does_not_start_again_what_somebody_ejected(warned):
    warned.world.service.eject("flan-t5", ADA)
    assert warned.client.get(warned.path).status_code == 410
    assert warned.client.post(warned.path).status_code == 410
    assert warned.world.left() == timedelta(0)


def refused_as_outdated(page) -> bool:
    said = ("Its time was changed already", "2026-06-22 12:17:00 UTC", "Time left</dt><dd>6 min")
    return page.status_code == 409 and all(words in page.text for words in said)


def test_who_was_outrun_by_a_top_up_is_told_until_when_it_runs_and_buys_nothing(warned):
    warned.world.top_up(5)
    assert refused_as_outdated(warned.client.get(warned.path))
    assert refused_as_outdated(warned.client.post(warned.path))
    assert warned.world.left() == 6 * MINUTE


def test_of_two_warnings_of_one_expiry_the_link_of_one_works(warned):
    second, first = warned.lines(Kind.WARNING)
    later = offer_for(second, warned.world.specs["flan-t5"])
    assert warned.client.post(f"/extend/{link_of(later, SECRET)}").status_code == 200
    page = warned.client.post(f"/extend/{link_of(offer_for(first, spec()), SECRET)}")
    assert page.status_code == 409
    assert "Its time was changed already" in page.text
    assert "Stops at</dt><dd>22 Jun 12:42:00 UTC" in page.text
    assert warned.world.left() == 31 * MINUTE


def test_a_link_from_before_an_eject_adds_nothing_to_what_was_bought_anew(warned):
    warned.world.service.eject("flan-t5", ADA)
    warned.world.wind(MINUTE / 2)
    warned.world.top_up(5)
    warned.world.wind(MINUTE / 4)
    assert warned.client.get(warned.path).status_code == 409
    assert warned.client.post(warned.path).status_code == 409
    assert warned.world.left() < 5 * MINUTE


def test_a_top_up_in_the_moment_of_the_press_is_seen_by_the_commit(warned):
    world, commit = warned.world, warned.world.store.commit

    def outrun(*arguments, **named):
        world.store.commit = commit
        world.top_up(5)
        return commit(*arguments, **named)

    world.store.commit = outrun
    assert refused_as_outdated(warned.client.post(warned.path))
    assert world.left() == 6 * MINUTE


def test_what_the_limits_refuse_is_explained():
    warned = warned_of(spec(max_ahead=20 * MINUTE))
    page = warned.client.post(warned.path)
    assert page.status_code == 422
    assert "At most 20 minutes may be on the meter; 19 would fit now." in page.text
    assert warned.world.left() == MINUTE


def test_an_endpoint_that_is_configured_no_more_is_said_to_be_unknown(warned):
    warned.world.service.configure({"other": Spec("other")})
    assert warned.client.get(warned.path).status_code == 404


def test_an_unknown_price_is_said_to_be_unknown():
    page = warned_of(spec()).client.get
    assert "unknown" in page(warned_of(spec()).path).text


def test_no_page_runs_a_script_lends_its_address_or_is_kept(warned):
    pages = [warned.client.get(warned.path), warned.client.get("/extend/x")]
    pages += [warned.client.post(warned.path), warned.client.post(warned.path)]
    for page in pages:
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "form-action 'self'" in policy
        assert "unsafe" not in policy
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert not re.search(r"<script|https?://|style=", page.text)
        assert '<meta name="viewport"' in page.text
        assert '<html lang="en">' in page.text


def test_a_meter_that_closed_in_the_moment_of_the_press_is_not_started(warned):
    warned.world.wind(2 * MINUTE)
    with pytest.raises(LinkLateError):
        warned.world.service.extend(warned.offer, ADA)
    assert warned.world.status() in {"stopping", "stopped"}
