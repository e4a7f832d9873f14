"""Logs read from the end and across rotation, as a leash writes them."""

import os
from pathlib import Path

import pytest

from parkmeter.drivers.process_logs import ProcessLogs, RotatedLog
from parkmeter.errors import DriverError
from parkmeter.leash.log import Log


class Written:
    """A log that a leash writes, and its readers."""

    def __init__(self, folder: Path, limit: int = 5_000_000) -> None:
        self.path, self.old_path = str(folder / "x.log"), str(folder / "x.log.1")
        self.leash = Log(self.path, self.old_path, limit)
        self.readers: list[RotatedLog] = []

    def write(self, text: str) -> None:
        self.leash.write(text.encode())

    def reader(self, lines: int = 10) -> RotatedLog:
        self.readers.append(RotatedLog(self.path, self.old_path, lines))
        return self.readers[-1]

    def last(self, lines: int) -> str:
        return all_of(self.reader(lines))


def all_of(reader: RotatedLog) -> str:
    found = b""
    while chunk := reader.read():
        found += chunk
    return found.decode()


@pytest.fixture
def written(tmp_path: Path):
    made = Written(tmp_path)
    yield made
    for reader in made.readers:
        reader.close()


def test_a_log_that_was_never_written_is_empty(written):
    assert written.last(10) == ""


@pytest.mark.parametrize("end", ["\n", ""])
def test_the_last_lines_are_found_whether_the_last_one_is_complete_or_not(written, end):
    written.write("one\ntwo\n\nfour" + end)
    assert written.last(1) == "four" + end
    assert written.last(2) == "\nfour" + end
    assert written.last(3) == "two\n\nfour" + end
    assert written.last(4) == written.last(5) == "one\ntwo\n\nfour" + end


def test_lines_longer_than_what_is_read_at_once_are_whole(written):
    long = "x" * 300_000
    written.write(f"{long}1\n{long}2\n{long}3\n")
    assert written.last(2) == f"{long}2\n{long}3\n"


def test_only_the_end_of_a_large_log_is_read(written, monkeypatch):
    written.write("a line\n" * 500_000)
    taken = 0
    pread = os.pread

    def counting(handle: int, size: int, at: int) -> bytes:
        nonlocal taken
        taken += size
        return pread(handle, size, at)

    monkeypatch.setattr(os, "pread", counting)
    assert written.last(100) == "a line\n" * 100
    assert taken <= 64 * 1024


def test_lines_go_on_in_the_old_log(tmp_path, written):
    written.leash = Log(written.path, written.old_path, limit=30)
    for number in range(10, 16):
        written.write(f"line {number}\n")
    assert Path(written.old_path).exists()
    assert written.last(4) == "line 12\nline 13\nline 14\nline 15\n"
    assert written.last(2) == "line 14\nline 15\n"
    assert written.last(1000).count("\n") == 6


def test_a_reader_reads_each_line_once_however_often_the_log_is_rotated(tmp_path):
    written = Written(tmp_path, limit=100)
    reader = written.reader()
    found = ""
    for number in range(200):
        written.write(f"line {number:03}\n")
        if number % 7 == 0:  # more than one log, less than two between two reads
            found += all_of(reader)
    found += all_of(reader)
    assert found == "".join(f"line {number:03}\n" for number in range(200))
    reader.close()


def test_two_rotations_between_two_reads_lose_only_what_is_deleted(tmp_path):
    written = Written(tmp_path, limit=30)
    written.write("line 0\n")
    reader = written.reader()
    assert all_of(reader) == "line 0\n"
    for number in range(1, 10):  # four to a log: 0-3, 4-7, 8-9
        written.write(f"line {number}\n")
    assert all_of(reader) == "".join(f"line {number}\n" for number in range(1, 10))
    reader.close()


def test_a_reader_waits_for_a_log_that_is_not_there_yet(written):
    reader = written.reader()
    assert reader.read() == b""
    written.write("hello\n")
    assert reader.read() == b"hello\n"


def test_a_removed_log_is_not_read_again_from_the_old_one(written):
    Path(written.old_path).write_text("long ago\n")
    os.utime(written.old_path, (1, 1))
    written.write("hello\n")
    reader = written.reader(1)
    assert reader.read() == b"hello\n"
    Path(written.path).unlink()
    assert reader.read() == b""


def test_a_log_that_cannot_be_opened_whole_leaves_no_file_open(written, monkeypatch):
    written.write("hello\n")
    Path(written.old_path).write_text("before\n")
    opened, closed, open_, close = [], [], os.open, os.close

    def one_file_only(path: str, *flags: int) -> int:
        if opened:
            raise OSError(24, "Too many open files")
        opened.append(open_(path, *flags))
        return opened[0]

    monkeypatch.setattr(os, "open", one_file_only)
    monkeypatch.setattr(os, "close", lambda handle: (closed.append(handle), close(handle)))
    with pytest.raises(DriverError, match="Too many open files"):
        written.reader()
    assert opened == closed


def test_an_unreadable_log_is_a_plain_error(tmp_path):
    (tmp_path / "logs" / "x.log").mkdir(parents=True)
    with pytest.raises(DriverError, match="The log cannot be read: Is a directory"):
        ProcessLogs(tmp_path).open("x", 10, follow=False).read()
