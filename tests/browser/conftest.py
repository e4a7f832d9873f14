"""Chromium, and a real gateway with the embedded model."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser

from tests.support.chromium import started
from tests.support.dashboard import Visit
from tests.support.gateway_process import GatewayProcess
from tools.dashboard_pictures import DESKTOP, Shot, staged

SECOND = 1000
CONFIG = """
[endpoints.flan-t5]
model = "demo"
api_resource = "flan"
price_per_hour = 1.2
initial_provision_time_minutes = 0
max_top_up_minutes = 240

[endpoints.broken]
command = ["false", "{port}"]
initial_provision_time_minutes = 0
"""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Yield Chromium for this folder only: Playwright's event loop runs in this thread, where no
    other test could run one of its own.
    """
    with started() as browser:
        yield browser


@pytest.fixture(scope="package")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("browser") / "state", CONFIG).start() as made:
        # Started again, it has the same address.
        made.arguments = ("--port", str(made.address[1]))
        yield made


@pytest.fixture
def visit(gateway: GatewayProcess, chromium: Browser) -> Iterator[Callable[..., Visit]]:
    """Yield a function that opens the dashboard; fail in the end on errors in its console."""
    visits: list[Visit] = []

    def open_(path: str = "/", **of_context: object) -> Visit:
        context = chromium.new_context(base_url=gateway.url, **of_context)
        context.set_default_timeout(15 * SECOND)
        visit = Visit(context.new_page(), gateway)
        visits.append(visit)
        visit.page.goto(path)
        return visit

    yield open_
    for one in visits:
        one.page.context.close()
    assert [text for one in visits for text in one.complaints] == []


@pytest.fixture
def meters(visit: Callable[..., Visit]) -> Visit:
    """Return the dashboard, signed in, in a desktop window."""
    opened = visit(viewport={"width": 1240, "height": 900})
    opened.sign_in()
    return opened


@pytest.fixture
def shown(chromium: Browser) -> Iterator[Callable[..., Visit]]:
    """Yield a function that opens the dashboard on constant answers; its time stands still."""
    with ExitStack() as stack:

        def show(*endpoints: dict, size: Mapping[str, int] = DESKTOP, **more: object) -> Visit:
            shot = Shot(tuple(one["name"] for one in endpoints), size, **more)
            return Visit(stack.enter_context(staged(chromium, shot, endpoints)), None)

        yield show
