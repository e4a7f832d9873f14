"""Paths of the gateway's own that came after endpoints could have them: such an endpoint stays."""

import re
from pathlib import Path

import pytest

from parkmeter.config.load import load_settings
from parkmeter.config.settings import Settings
from parkmeter.core.reserved import RESERVED, RESERVED_LATER
from parkmeter.gateway.from_settings import routes
from parkmeter.gateway.wiring import wire
from parkmeter.state_folder import StateFolder


def settings(**resources: str) -> Settings:
    endpoints = {name: {"model": "demo", "api_resource": path} for name, path in resources.items()}
    return Settings.model_validate({"endpoints": endpoints})


@pytest.mark.parametrize("name", sorted(RESERVED_LATER))
def test_an_endpoint_of_such_a_name_is_configured_as_before(tmp_path, name):
    file = tmp_path / "parkmeter.toml"
    file.write_text(f'[endpoints.{name}]\nmodel = "demo"')
    assert load_settings(config=file, environment={}).by_name_only == {name: name}


@pytest.mark.parametrize("path", sorted(RESERVED_LATER))
def test_its_prompts_are_reached_by_its_name_and_its_path_is_the_gateways(path):
    found = settings(mine=path, other="other")
    assert found.by_name_only == {"mine": path}
    assert found.resource_of("mine") == "endpoints/mine/invocations"
    served = routes(found)
    for taken in (path, f"{path}/v1/models", f"{path}/"):
        target = served.match(f"/{taken}".encode())
        assert target is None or (target.front and target.route is None)
    assert served.match(b"/endpoints/mine/invocations").name == "mine"
    assert served.match(b"/other/v1/models").path == b"/v1/models"


def test_the_start_warns_of_it_and_shows_how_it_is_reached(tmp_path, caplog):
    folder = StateFolder(tmp_path)
    folder.lock()
    parts = wire(settings(mine="audit"), folder, "http://127.0.0.1:1")
    try:
        parts.configure(settings(mine="audit", other="other"))
        assert "mine: /audit is a path of the gateway's own now" in caplog.text
        assert "at /endpoints/mine/invocations; set another api_resource" in caplog.text
        assert parts.in_force.resource_of("mine") == "endpoints/mine/invocations"
        assert parts.in_force.invocations_of("mine") is None, "no other path is reached"
        assert parts.in_force.invocations_of("other") == "/invocations"
        first = {route.path.split("/")[1] for route in parts.control.routes}
    finally:
        parts.store.close()
        folder.release()
    # A route that is not reserved would be hidden by an endpoint of its name.
    assert first - {"", "redoc", "{api_resource}"} <= RESERVED | RESERVED_LATER


def test_the_page_on_the_configuration_names_each_of_them():
    page = Path("docs/configuration.md").read_text(encoding="utf-8")
    section = page.partition("## Reserved paths")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([^`]+)`", section)) >= RESERVED | RESERVED_LATER
