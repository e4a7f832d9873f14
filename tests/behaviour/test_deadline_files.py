"""The file of a leash's deadline: moved in place, without a wait for the disk."""

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from parkmeter.leash.deadline import Deadline, deadline_of
from parkmeter.leash.files import read_json, write_json, write_over
from tests.support.driver_fixtures import ProcessHandle, process, start


@pytest.fixture
def handle(tmp_path: Path) -> Iterator[ProcessHandle]:
    with process(tmp_path / "state") as made:
        yield made


def test_a_deadline_that_moves_waits_for_no_disk(handle, monkeypatch):
    spec = handle.good()
    start(handle, spec)
    until = handle.now() + timedelta(seconds=700)
    handle.driver.keep(spec, until, 2)
    waits = []
    for step in ("fsync", "replace"):
        monkeypatch.setattr(os, step, lambda *of, step=step: waits.append((step, *of)))
    # As a top-up does: is it within reach, its new deadline, and the look that follows.
    handle.driver.keep(spec, until, 1)
    handle.driver.keep(spec, until + timedelta(seconds=60), 3)
    handle.driver.keep(spec, until + timedelta(seconds=60), 3)
    assert waits == []
    kept = read_json(handle.files(spec).deadline)
    assert kept["version"] == 3
    assert kept["until"] == (until + timedelta(seconds=60)).timestamp()


def test_a_deadline_of_an_earlier_version_is_written_over(tmp_path):
    path = str(tmp_path / "deadline")
    write_json(path, {"version": 1, "until": 1.5})
    write_over(path, {"version": 23, "until": 1782345678.123456, "boot": "x" * 36})
    assert read_json(path) == {"version": 23, "until": 1782345678.123456, "boot": "x" * 36}
    write_over(path, {"version": 24, "until": 2})
    assert read_json(path) == {"version": 24, "until": 2}


def test_a_small_file_is_read_with_a_small_buffer(tmp_path, monkeypatch):
    path, sizes, read = str(tmp_path / "file"), [], os.read
    write_json(path, {"until": 1})

    def noted(handle, size):
        sizes.append(size)
        return read(handle, size)

    monkeypatch.setattr(os, "read", noted)
    assert read_json(path) == {"until": 1}
    assert sizes == [len('{"until": 1}')]


def test_a_read_in_the_middle_of_a_write_keeps_no_later_deadline_from_its_leash(tmp_path):
    # On some file systems a reader sees the first bytes of a write before the last ones. Of
    # versions 19 and 20 that could make 29, and what comes behind it would count as older.
    path, now = str(tmp_path / "deadline"), time.time()
    for versions in ((19, 20), (9, 10), (199, 201)):
        old, new = (deadline_of(now + 100 * number, number) for number in versions)
        written = [b"", b""]
        for index, content in enumerate((old, new)):
            write_over(path, content)
            written[index] = Path(path).read_bytes()
        for cut in range(len(written[1])):
            Path(path).write_bytes(written[1][:cut] + written[0][cut:])
            deadline = Deadline(old)
            if (torn := read_json(path)) is not None:
                deadline.adopt(torn)
            deadline.adopt(new)
            assert abs(deadline.left() + time.time() - new["until"]) < 1, (cut, torn)
