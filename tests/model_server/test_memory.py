"""Page faults of the engine: memory freed at one token is reused at the next."""

import platform
from pathlib import Path

import pytest

from tests.support.model_server_process import ServerProcess

PROMPT = "Write a story about beautiful weather on a tropical island."


def page_faults(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc is only it is tuned")
def test_texts_are_generated_in_memory_that_is_reused():
    with ServerProcess("--model", "demo") as server:
        batch = [PROMPT] * 32
        for _ in range(6):
            server.texts(batch, max_length=31)
        before = page_faults(server.process.pid)
        for _ in range(5):
            server.texts(batch, max_length=31)
        faults = page_faults(server.process.pid) - before
    assert faults / (5 * len(batch)) < 10
