"""How tests are shared out among processes: one by one, but a story stays together."""

import contextlib
import signal
from typing import Any

import pytest

# Whoever starts tests in the background has these ignored, and every child would inherit it.
with contextlib.suppress(ValueError):  # not in the main thread
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

pytest_plugins = ["tests.support.wound_sagemaker"]

STORIES = (
    "tests/browser/",
    "tests/behaviour/test_gpu_box.py",
    "tests/behaviour/test_readme.py",
    "tests/simulator/test_cloud.py",
)
"""Files, or all of a folder, whose tests share what is costly to make: each stays together."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Groups by mark (`--dist=loadgroup`) get lost between xdist 3.8 and pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 (there if this is called)

    class ByStory(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if file.startswith(STORIES) else nodeid

    return ByStory(config, log)
