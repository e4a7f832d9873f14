"""Settings put in force: the failure of one endpoint must not affect the others."""

from pathlib import Path

import pytest

from parkmeter.config.settings import DemoSettings, Settings
from parkmeter.errors import StoreBusyError
from parkmeter.gateway.from_settings import routes
from parkmeter.gateway.wiring import Parts, wire
from parkmeter.state_folder import StateFolder


@pytest.fixture
def parts(tmp_path: Path):
    folder = StateFolder(tmp_path)
    folder.lock()
    made = wire(settings(), folder, "http://127.0.0.1:1")
    yield made
    made.store.close()
    folder.release()


def settings() -> Settings:
    return Settings.model_validate({"endpoints": {"a": {"model": "demo"}, "b": {"model": "demo"}}})


def test_a_meter_that_cannot_be_written_is_reported_and_the_others_are_provisioned(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = parts.store.commit

    def busy_for_a(meter, *more, **named):
        if meter.name == "a":
            raise StoreBusyError
        return commit(meter, *more, **named)

    with monkeypatch.context() as patched:
        patched.setattr(parts.store, "commit", busy_for_a)
        assert parts.configure(settings()) == ["a"]
    assert parts.store.load("a").version == 0
    assert parts.store.load("b").version == 1
    assert parts.in_force.settings == settings()
    assert parts.configure(settings()) == []
    assert parts.store.load("a").version == 1


def test_a_closed_meter_shows_no_make_believe_price() -> None:
    assert routes(DemoSettings()).match(b"/flan").route.price_per_hour is None


def test_limits_and_paths_of_an_endpoint_reach_its_route() -> None:
    endpoint = {"model": "demo", "max_in_flight": 3, "paths": ["/v1/*"], "cookies": True}
    route = routes(Settings.model_validate({"endpoints": {"a": endpoint}})).match(b"/a").route
    assert (route.limits.max_in_flight, route.paths, route.cookies) == (3, ("/v1/*",), True)
    route = routes(settings()).match(b"/a").route
    assert (route.limits.max_in_flight, route.paths, route.cookies) == (None, ("/*",), False)
