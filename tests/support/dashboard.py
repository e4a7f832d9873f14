"""The dashboard in a browser: its elements, and the actions of a reader."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Locator, Page, expect

from tests.support.gateway_process import TOKEN, GatewayProcess

VENDOR = Path(__file__).parents[1] / "browser" / "vendor"
NAME = "flan-t5"


@dataclass
class Visit:
    """One browser at the dashboard. `complaints`: errors in its console; `expected`: known ones."""

    page: Page
    gateway: GatewayProcess
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _console(self, message: ConsoleMessage) -> None:
        text = message.text
        if message.type in {"error", "warning"} and not any(one in text for one in self.expected):
            self.complaints.append(text)

    # ── Contents ────────────────────────────────────────────────────────────────────────────────

    def card(self, name: str = NAME) -> Locator:
        return self.page.get_by_role("article", name=name)

    def time(self, name: str = NAME) -> str:
        return self.card(name).locator(".time").text_content() or ""

    def seconds(self, name: str = NAME) -> int:
        """Return the seconds that the dial shows."""
        parts = [int(part) for part in self.time(name).split(":")]
        return sum(part * 60**power for power, part in enumerate(reversed(parts)))

    def note(self, name: str = NAME) -> Locator:
        return self.card(name).locator(".note")

    def button(self, title: str, name: str = NAME) -> Locator:
        return self.page.get_by_role("button", name=f"{title} {name}", exact=True)

    @property
    def panel(self) -> Locator:
        return self.page.locator(".panel:visible")

    # ── Actions ─────────────────────────────────────────────────────────────────────────────────

    def sign_in(self, token: str = TOKEN) -> None:
        self.page.get_by_label("Token", exact=True).fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.card()).to_be_visible()

    def open(self, title: str, name: str = NAME) -> Locator:
        self.button(f"{title} of", name).click()
        expect(self.panel.get_by_role("heading", name=title)).to_be_visible()
        return self.panel

    def shows(self, status: str, name: str = NAME) -> None:
        expect(self.card(name).locator(".badge")).to_have_text(status, timeout=10_000)

    def serious_findings(self) -> list[str]:
        """Return axe-core's findings that keep people from using the page."""
        # Through the debugger, which the page's policy does not bind.
        self.page.evaluate((VENDOR / "axe.min.js").read_text(encoding="utf-8") + "\n;0")
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {one['help']}: {json.dumps([node['target'] for node in one['nodes']])}"
            for one in found["violations"]
            if one["impact"] in {"serious", "critical"}
        ]

    # ── State of the meter ──────────────────────────────────────────────────────────────────────

    def running(self) -> None:
        """Make the model serve, with at least five minutes on the meter."""
        if self.gateway.endpoint(NAME)["seconds_left"] < 300:
            self.gateway.request("POST", f"/endpoints/{NAME}/top-ups", {"minutes": 10})
        self.gateway.until("running")
        self.shows("running")

    def stopped(self) -> None:
        """Eject the endpoint and wait until it is stopped."""
        self.gateway.request("POST", f"/endpoints/{NAME}/eject")
        self.gateway.until("stopped")
        self.shows("stopped")

    def added(self) -> list[float]:
        """Return the minutes of every top-up, newest first."""
        lines = self.gateway.request("GET", f"/endpoints/{NAME}/journal?limit=500").json["lines"]
        return [line["minutes"] for line in lines if line["kind"] == "top-up"]
