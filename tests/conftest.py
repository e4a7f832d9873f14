"""The distribution of tests over processes, and the count of random cases."""

import contextlib
import signal
from typing import Any

import pytest

from tests.support.case_count import print_counts

# A shell ignores these for its background jobs, and every child would inherit that.
with contextlib.suppress(ValueError):  # not in the main thread
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

pytest_plugins = ["tests.support.wound_sagemaker"]

TOGETHER = (
    "tests/browser/",
    "tests/behaviour/test_gpu_box.py",
    "tests/behaviour/test_readme.py",
    "tests/simulator/test_cloud.py",
)
"""Files or folders whose tests share a costly fixture: each runs in one process."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Group by file; marks (`--dist=loadgroup`) get lost between xdist 3.8 and pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 (installed if this is called)

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if file.startswith(TOGETHER) else nodeid

    return ByFile(config, log)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many random cases were tried."""
    print_counts(terminalreporter)
