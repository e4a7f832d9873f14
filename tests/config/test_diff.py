"""Changed settings while a gateway runs: when each takes effect."""

import pytest

from parkmeter.config.diff import AT_NEXT_START, Changes, ReloadRefusedError, compare
from parkmeter.config.settings import EndpointSettings, Settings


def settings(
    gateway: dict | None = None, notify: dict | None = None, **endpoints: dict
) -> Settings:
    sections = {name: {"model": "demo"} | endpoint for name, endpoint in endpoints.items()}
    return Settings.model_validate(
        {"gateway": gateway or {}, "notify": notify or {}, "endpoints": sections}
    )


def test_the_same_settings_change_nothing():
    assert compare(settings(a={}), settings(a={})) == Changes()
    assert Changes().lines() == ["Nothing changed."]


def test_endpoints_come_and_go_by_their_names():
    changes = compare(settings(a={}, b={}), settings(c={}, b={}))
    assert (changes.added, changes.removed) == (("c",), ("a",))
    assert changes.at_once == changes.at_next_start == {}


def test_settings_fixed_for_a_run_change_at_its_next_start_and_all_others_at_once():
    after = settings(a={"health": "/health", "drain_seconds": 1, "price_per_hour": "1.5"})
    changes = compare(settings(a={}), after)
    assert changes.at_once == {"a": ("price_per_hour", "drain_seconds")}
    assert changes.at_next_start == {"a": ("health",)}
    assert changes.lines() == [
        "a: price_per_hour, drain_seconds: in effect now",
        "a: health: in effect at the next start (to apply now: eject a and top it up)",
    ]


def test_receivers_and_their_events_change_at_once():
    hook = {"url": "https://example.org", "secret": "of-sixteen-characters"}
    before, after = settings(a={}), settings(a={}, notify={"webhooks": [hook], "events": ["stop"]})
    assert compare(before, after).lines() == ["notify: webhooks, events: in effect now"]


def test_a_price_spelled_differently_is_the_same_price():
    before, after = settings(a={"price_per_hour": "1.20"}), settings(a={"price_per_hour": 1.2})
    assert compare(before, after) == Changes()


@pytest.mark.parametrize(
    ("key", "value"), [("host", "::1"), ("port", 9090), ("state", "/somewhere/else")]
)
def test_a_setting_that_needs_a_restart_is_refused_by_name(key, value):
    with pytest.raises(ReloadRefusedError, match=f"gateway.{key}"):
        compare(settings(a={}), settings({key: value}, a={}))


def test_the_gateways_own_patience_changes_at_once():
    changes = compare(settings(a={}), settings({"shutdown_seconds": 3}, a={}))
    assert changes.lines() == ["gateway: shutdown_seconds: in effect now"]


def test_the_settings_that_wait_for_a_start_are_settings():
    assert set(EndpointSettings.model_fields) >= AT_NEXT_START
