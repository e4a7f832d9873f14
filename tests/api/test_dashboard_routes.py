"""The dashboard's files by HTTP: types, caching, policy, and vendored files."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from parkmeter.api import dashboard as package
from parkmeter.api.dashboard_routes import add_dashboard_routes, dashboard

ROOT = Path(__file__).parents[2]
FILES = Path(package.__file__).parent
VENDORED = (FILES / "vendor", ROOT / "tests" / "browser" / "vendor")
OWN = sorted(file for file in FILES.iterdir() if file.suffix in {".js", ".css", ".html", ".svg"})


@pytest.fixture
def browser() -> Iterator[TestClient]:
    app = FastAPI()
    add_dashboard_routes(app)
    with TestClient(app) as client:
        yield client


def asset(name: str) -> str:
    return f"/assets/{dashboard().version}/{name}"


def test_the_page_is_asked_for_again_and_its_files_are_kept_for_good(browser):
    page = browser.get("/")
    assert page.headers["cache-control"] == "no-cache"
    again = browser.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert browser.get("/", headers={"If-None-Match": '"another"'}).status_code == 200
    named = re.findall(r'(?:src|href)="(assets/[^"]+)"', page.text)
    assert len(named) >= 5
    for name in named:
        file = browser.get(f"/{name}")
        assert file.status_code == 200
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert file.headers["etag"]


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("main.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("vendor/uPlot.LICENSE.txt", "text/plain; charset=utf-8"),
    ],
)
def test_every_file_has_its_type_and_no_other_is_guessed(browser, name, media_type):
    file = browser.get(asset(name))
    assert file.headers["content-type"] == media_type
    assert file.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/0000000000000000/main.js",
        asset("index.html"),
        asset("__init__.py"),
        asset("../app.py"),
        asset("..%2fapp.py"),
        asset(""),
        asset("vendor"),
    ],
)
def test_nothing_else_is_served(browser, path):
    assert browser.get(path).status_code == 404


def test_the_policy_allows_our_own_files_only(browser):
    for path in ("/", asset("main.js"), "/favicon.ico"):
        policy = dict(
            part.split(" ", 1)
            for part in browser.get(path).headers["content-security-policy"].split("; ")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert not any("unsafe" in value for value in policy.values())


def test_the_page_has_nothing_inline_and_no_address_but_relative_ones(browser):
    page = browser.get("/").text
    assert not re.search(r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=", page)
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert re.match(r"assets/|docs$|#", address), address


@pytest.mark.parametrize("file", OWN, ids=lambda file: file.name)
def test_our_files_fetch_nothing_from_others_and_make_no_markup_of_text(file):
    text = file.read_text(encoding="utf-8")
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    assert "localStorage" not in text
    assert "cookie" not in text.replace("no cookie", "")
    assert len(re.findall(r"\bfetch\(", text)) == len(re.findall(r'credentials: "omit"', text))
    for imported in re.findall(r'from "([^"]+)"', text):
        assert (FILES / imported).is_file(), imported


@pytest.mark.parametrize("folder", VENDORED, ids=lambda folder: folder.parent.name)
def test_what_others_wrote_is_as_they_published_it_and_has_its_licence(folder):
    listed = {}
    for one in json.loads((folder / "manifest.json").read_text()):
        assert one["version"]
        assert one["license"]
        assert any("LICENSE" in name for name in one["files"])
        listed |= one["files"]
    there = {
        file.name: "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.name != "manifest.json"
    }
    assert there == listed
