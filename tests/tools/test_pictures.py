"""The pictures in docs are what the tool prints today."""

import pytest

from tools.pictures import FOLDER, PICTURES, drawn


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_current(name):
    assert (FOLDER / name).read_text(encoding="utf-8") == drawn(name), "run `make docs`"


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_fetches_nothing(name):
    svg = drawn(name)
    for fetching in ("@font-face", "url(http", "href", "@import"):
        assert fetching not in svg
