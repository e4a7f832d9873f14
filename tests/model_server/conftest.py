"""A tiny random T5, converted once per run, and what the tests of the server share."""

from pathlib import Path

import pytest

from parkmeter.model_server.conversion import convert
from tests.support.model_server_process import ServerProcess
from tests.support.tiny_t5 import Shape, write_t5


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    write_t5(folder)
    return folder


@pytest.fixture(scope="session")
def terse(tmp_path_factory) -> Path:
    """A converted model that ends some of its texts."""
    folder = tmp_path_factory.mktemp("terse")
    write_t5(folder / "source", Shape(end_weight=2.0))
    convert(folder / "source", folder / "converted")
    return folder / "converted"


@pytest.fixture(scope="session")
def converted(source, tmp_path_factory) -> Path:
    """A converted model whose greedy texts go on to any length."""
    folder = tmp_path_factory.mktemp("converted")
    convert(source, folder)
    return folder


@pytest.fixture(scope="session")
def shared_server(converted):
    with ServerProcess("--model", str(converted)) as server:
        yield server


@pytest.fixture
def server(shared_server):
    """A running server over HTTP, shared by the tests that do not end it."""
    assert shared_server.process.poll() is None
    return shared_server
