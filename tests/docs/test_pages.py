"""Pages of prose: links lead somewhere, tables are complete, calls have one form."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted(
        page
        for folder in ("docs", "examples", "packaging")
        for page in (ROOT / folder).rglob("*.md")
    ),
]


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page: Path):
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_leads_on():
    assert len(re.findall(r"\]\((?!https?:)([^)#]+)\)", text("README.md"))) > 8


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_call_has_the_seed_s_form(page: Path):
    prose = page.read_text(encoding="utf-8")
    assert "Authorization: Bearer" not in prose
    calls = re.findall(r"^curl .*?127\.0\.0\.1:8080(/\S*)", prose, re.MULTILINE)
    assert all(path.startswith("/prod/") for path in calls)


def test_the_page_of_settings_has_each_of_them():
    schema = json.loads((REFERENCE / "parkmeter.schema.json").read_text())
    settings = {name for part in schema["$defs"].values() for name in part["properties"]}
    page = text("docs/configuration.md")
    assert {name for name in settings if f"`{name}`" not in page} == set()


def test_the_page_of_routes_has_each_of_them():
    paths = json.loads((REFERENCE / "openapi.json").read_text())["paths"]
    routes = {f"{method.upper()} {path}" for path in paths for method in paths[path]}
    page = text("docs/http.md")
    assert {route for route in routes if f"`{route}`" not in page} == set()
