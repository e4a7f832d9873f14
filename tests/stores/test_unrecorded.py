"""The file of ejects that the store could not record."""

import pytest

from parkmeter.core.journal import Kind, new_entry
from parkmeter.core.meter import Meter, Spec
from parkmeter.leash.files import write_json
from parkmeter.stores.unrecorded import EjectFile
from tests.support.world import NOON

ENTRY = new_entry(Spec("a"), Meter("a"), Kind.EJECT, NOON, "given up", key="k", who="ada")


def test_an_eject_outlives_the_process_until_it_is_recorded(tmp_path):
    EjectFile(tmp_path / "file").put(ENTRY)
    again = EjectFile(tmp_path / "file")
    assert again.of("a") == ENTRY
    again.recorded("a")
    assert EjectFile(tmp_path / "file").of("a") is None


def test_the_file_has_room_for_an_eject_before_there_is_one(tmp_path):
    ejects = EjectFile(tmp_path / "file")
    size = (tmp_path / "file").stat().st_size
    assert size > 2000
    ejects.put(ENTRY)
    assert ejects.of("b") is None


def test_an_eject_that_cannot_be_written_is_kept_in_memory(tmp_path, caplog):
    folder = tmp_path / "folder"
    folder.mkdir()
    ejects = EjectFile(folder / "file")
    (folder / "file").unlink()
    folder.rmdir()
    ejects.put(ENTRY)
    assert ejects.of("a") == ENTRY
    assert "in memory only" in caplog.text


@pytest.mark.parametrize(
    "text",
    ['{"ejects": [1, 2]}', '{"ejects": {"a": "[1]"}}', '{"ejects": {"a": %s}}' % ("[" * 100_000)],
)
def test_a_damaged_file_is_no_reason_to_fail(tmp_path, text):
    (tmp_path / "file").write_text(text)
    assert EjectFile(tmp_path / "file").of("a") is None


def test_an_entry_that_is_nested_too_deep_is_no_reason_to_fail(tmp_path, caplog):
    write_json(str(tmp_path / "file"), {"ejects": {"a": "[" * 100_000}})
    assert EjectFile(tmp_path / "file").of("a") is None
    assert "cannot be read" in caplog.text
