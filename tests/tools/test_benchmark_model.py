"""The shipped model, written in Hugging Face's layout for the peer of a benchmark, is the same."""

import numpy as np
import pytest

from benchmarks.model import folder
from parkmeter.model_server.conversion import convert
from parkmeter.model_server.sources import DEMO


def test_the_shipped_model_converts_back_to_itself(tmp_path):
    folder.write(DEMO, tmp_path / "weights")
    convert(tmp_path / "weights", tmp_path / "engine", "int8")
    shipped = folder.read(DEMO / "model.bin")
    back = folder.read(tmp_path / "engine" / "model.bin")
    assert back.keys() == shipped.keys()
    for name, stored in shipped.items():
        np.testing.assert_allclose(back[name], stored, rtol=1e-6, err_msg=name)


def test_a_file_of_another_version_is_refused(tmp_path):
    (tmp_path / "model.bin").write_bytes((7).to_bytes(4, "little"))
    with pytest.raises(ValueError, match="format 7"):
        folder.read(tmp_path / "model.bin")
