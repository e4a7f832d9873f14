"""Screenshots of the dashboard for docs/pictures, taken in Chromium with constant data.

No gateway runs: this module answers every request of the page. tests/browser tests the dashboard
with a real gateway.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from math import sin
from shutil import which
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Route, sync_playwright

from parkmeter.api.dashboard_routes import dashboard
from tools.pictures import FOLDER, NOW, RECEIPT

DESKTOP, PHONE = {"width": 1240, "height": 860}, {"width": 390, "height": 844}
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
CHROMIUM += ("--disable-background-networking", "--disable-component-update", "--disable-sync")
_BASE = "http://127.0.0.1:8080/"
"""The default address of a gateway; every request to it is answered by this module."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture: its endpoints, window, colour scheme, and the panel (title, endpoint) it opens.

    `whole`: the full page instead of the window.
    """

    endpoints: tuple[str, ...]
    size: Mapping[str, int]
    dark: bool = False
    panel: tuple[str, str] | None = None
    whole: bool = False


ALL = ("flan-t5", "qwen", "llama", "mistral", "gemma", "phi")
SHOTS = {
    "dashboard.png": Shot(
        ("flan-t5", "qwen", "llama"), DESKTOP, panel=("Timeline", "flan-t5"), whole=True
    ),
    "dashboard-dark.png": Shot(("flan-t5",), DESKTOP, dark=True, panel=("Playground", "flan-t5")),
    "dashboard-phone.png": Shot(("mistral",), PHONE, dark=True),
}


def endpoint(
    name: str, status: str, reason: str, left: float, *, still: float = 0, **more: Any
) -> dict[str, Any]:
    """Return an endpoint as in `GET /endpoints`, with `left` seconds on its meter.

    `still`: seconds since its start began, during which the meter stands still.
    """
    closes = NOW + timedelta(seconds=left)
    expires = closes - timedelta(seconds=still)
    return {
        "name": name,
        "status": status,
        "reason": reason,
        "cause": reason,
        "expires_at": f"{expires:%Y-%m-%dT%H:%M:%SZ}",
        "closes_at": f"{closes:%Y-%m-%dT%H:%M:%SZ}",
        "seconds_left": left,
        "price_per_hour": None,
        "cost_so_far": None,
        "api_resource": name,
        "invocations_path": "/invocations",
        "attempts": 1,
        "next_try": None,
        "warn_minutes": [10, 2],
        **more,
    }


_BUSY = (range(134), range(255, 500), range(1175, 1365))
"""Ages, in minutes, of the minutes with requests."""


def _ago(**amount: float) -> str:
    return f"{NOW - timedelta(**amount):%Y-%m-%dT%H:%M:%SZ}"


ENDPOINTS = {
    found["name"]: found
    for found in (
        endpoint("flan-t5", "running", "serving", 2537, price_per_hour=1.2, cost_so_far=2.71),
        endpoint(
            "qwen",
            "starting",
            "loading model weights",
            3600,
            still=84,
            price_per_hour=3.98,
            cost_so_far=0.09,
            starting_since=_ago(seconds=84),
            usual_start_seconds=190,
        ),
        endpoint("llama", "stopped", "no time on the meter: top up to start it", 0)
        | {
            "price_per_hour": 7.09,
            "hours": "Mon-Fri 09:00-17:00 Europe/London",
            "next_window_at": "2026-11-23T09:00:00Z",
        },
        endpoint("mistral", "running", "serving", 521, price_per_hour=1.2, cost_so_far=4.83),
        endpoint("gemma", "running", "serving", 77, price_per_hour=0.6, cost_so_far=1.02),
        endpoint(
            "phi",
            "failed",
            "The provider has no capacity for ml.g5.12xlarge in this zone: the next try takes "
            "ml.g5.24xlarge",
            1260,
            still=131,
            price_per_hour=7.09,
            cost_so_far=0.0,
            starting_since=_ago(seconds=131),
            attempts=2,
            next_try=f"{NOW + timedelta(seconds=48):%Y-%m-%dT%H:%M:%SZ}",
        ),
    )
}


def _timeline() -> dict[str, Any]:
    edges = ((24, "stopped"), (23, "starting"), (22.8, "running"), (19.5, "stopped"), (9, "failed"))
    edges += ((8.7, "starting"), (8.4, "running"), (4.2, "stopped"), (2.5, "starting"))
    edges += ((2.26, "running"), (0, ""))
    ends = edges[1:]
    return {
        "from": _ago(hours=24),
        "to": _ago(),
        "stretches": [
            {"status": status, "begin": _ago(hours=begin), "end": _ago(hours=end), "reason": None}
            for (begin, status), (end, _) in zip(edges, ends, strict=False)
        ],
        "top_ups": [
            {"at": _ago(hours=hours), "minutes": minutes, "by": who}
            for hours, minutes, who in (
                (23, 60, "ada"),
                (22.1, 120, "ben"),
                (9, 120, "ada"),
                (6.6, 60, "ada"),
                (5.1, 60, "eve"),
                (2.5, 60, "ben"),
                (1.3, 60, "ada"),
            )
        ],
        "request_minutes": 1,
        "requests": [
            {
                "at": _ago(minutes=minute),
                "count": round(14 + 8 * sin(minute / 40) + (minute * 7919) % 5),
            }
            for minute in range(1440)
            if any(minute in busy for busy in _BUSY)
        ],
    }


STORY = (
    "The sun rose on the tropical island, and it was a beautiful day. A gardener's son walked "
    "slowly past the palm trees. And so a simple day became a happy memory."
)
"""An answer of the shipped model."""


def _document(path: str, endpoints: Sequence[Mapping[str, Any]]) -> Any:
    last = path.rpartition("/")[2]
    return {
        "whoami": {
            "id": "1",
            "name": "ada",
            "scopes": ["invoke", "top-up", "admin"],
            "endpoints": None,
            "expires_at": None,
            "events": False,
        },
        "endpoints": {"endpoints": endpoints},
        "timeline": _timeline(),
        "receipt": RECEIPT,
    }.get(last)


def answer(route: Route, endpoints: Sequence[Mapping[str, Any]]) -> None:
    """Answer one request of the page."""
    path = urlsplit(route.request.url).path.removeprefix("/")
    files = dashboard()
    name = path.removeprefix(f"assets/{files.version}/") or "index.html"
    if name in files.assets:
        found = files.assets[name]
        route.fulfill(body=found.body, content_type=found.media_type)
    elif route.request.method == "POST":
        route.fulfill(json={"generated_texts": [STORY]})
    elif (document := _document(path, endpoints)) is not None:
        route.fulfill(json=document)
    else:
        route.fulfill(status=404, json={"code": "path_not_served"})


@contextmanager
def staged(
    browser: Browser, shot: Shot, endpoints: Sequence[Mapping[str, Any]] = ()
) -> Iterator[Page]:
    """Open the dashboard, signed in, in the state of the shot, with a stopped clock.

    `endpoints` replace those of the shot.
    """
    shown = endpoints or [ENDPOINTS[name] for name in shot.endpoints]
    context = browser.new_context(
        viewport={"width": shot.size["width"], "height": shot.size["height"]},
        color_scheme="dark" if shot.dark else "light",
        reduced_motion="reduce",
        timezone_id="UTC",
        device_scale_factor=1.5,
    )
    try:
        page = context.new_page()
        page.clock.install(time=NOW)
        page.clock.pause_at(NOW + timedelta(seconds=1))
        page.route("**/*", lambda route: answer(route, shown))
        page.add_init_script("sessionStorage.setItem('parkmeter.token', 'a-token')")
        page.goto(_BASE)
        page.wait_for_selector(".card .time")
        page.clock.run_for(1000)
        if shot.panel is not None:
            title, name = shot.panel
            button = page.get_by_role("button", name=f"{title} of {name}")
            if button.get_attribute("aria-expanded") == "false":
                button.click()
            page.wait_for_selector(".uplot" if title == "Timeline" else ".panel:not([hidden])")
            page.clock.run_for(300)
            if title == "Playground":
                page.get_by_role("button", name="Send").click()
                page.get_by_text(STORY).wait_for()
            page.mouse.move(0, 0)
            page.evaluate("document.activeElement.blur()")
        yield page
    finally:
        context.close()


def main() -> int:
    """Take all pictures; return the exit code."""
    chromium = which("chromium")
    if chromium is None:
        print("There is no chromium on the PATH; install it (Debian: chromium).", file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*CHROMIUM])
        for name, shot in SHOTS.items():
            with staged(browser, shot) as page:
                page.screenshot(path=FOLDER / name, full_page=shot.whole)
            print(f"docs/pictures/{name}")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
