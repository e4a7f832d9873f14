"""What becomes of other settings while a gateway runs."""

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


def test_what_a_run_keeps_counts_later_and_all_else_at_once():
    after = settings(a={"health": "/health", "drain_seconds": 1, "price_per_hour": "1.5"})
    changes = compare(settings(a={}), after)
    assert changes.at_once == {"a": ("price_per_hour", "drain_seconds")}
    assert changes.at_next_start == {"a": ("health",)}
    assert changes.lines() == [
        "a: price_per_hour, drain_seconds: from now on",
        "a: health: at its next start (eject a and top it up to have that now)",
    ]


def test_who_is_told_of_what_changes_at_once():
    hook = {"url": "https://example.org", "secret": "of-sixteen-characters"}
    before, after = settings(a={}), settings(a={}, notify={"webhooks": [hook], "events": ["stop"]})
    assert compare(before, after).lines() == ["notify: webhooks, events: from now on"]


def test_a_price_written_otherwise_is_the_same_price():
    before, after = settings(a={"price_per_hour": "1.20"}), settings(a={"price_per_hour": 1.2})
    assert compare(before, after) == Changes()


@pytest.mark.parametrize(
    ("key", "value"), [("host", "::1"), ("port", 9090), ("state", "/somewhere/else")]
)
def test_what_only_a_new_start_can_change_is_refused_by_its_name(key, value):
    with pytest.raises(ReloadRefusedError, match=f"gateway.{key}"):
        compare(settings(a={}), settings({key: value}, a={}))


def test_the_gateways_own_patience_changes_at_once():
    changes = compare(settings(a={}), settings({"shutdown_seconds": 3}, a={}))
    assert changes.lines() == ["gateway: shutdown_seconds: from now on"]


def test_the_settings_that_wait_for_a_start_are_settings():
    assert set(EndpointSettings.model_fields) >= AT_NEXT_START
