"""From ``--model`` to a serving process, or to one clear line with the reason."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from parkmeter.model_server import sources
from parkmeter.model_server.errors import CannotLoadError
from parkmeter.model_server.sources import prepare
from tests.support.model_server_process import ServerProcess
from tests.support.tiny_t5 import PROMPTS, Shape, write_t5

PREFIX = "parkmeter model server: "


def no_report(_line: str) -> None:
    pass


def refusal(model: str, cache: Path) -> str:
    """Start a server that cannot; return its last line without the program's name."""
    code, lines = ServerProcess("--model", model, "--cache", str(cache)).failure()
    assert code == 1
    assert not any("Traceback" in line for line in lines)
    return lines[-1].removeprefix(PREFIX)


class TestServing:
    def test_a_hugging_face_folder_is_converted_and_served(self, source, tmp_path):
        with ServerProcess("--model", str(source), "--cache", str(tmp_path)) as server:
            assert len(server.texts(PROMPTS[0], max_length=5)) == 1
        assert server.lines[0].startswith(f"{PREFIX}converting 0.1 M parameters to int8, once")
        assert server.lines[1].startswith(f"{PREFIX}converted in ")

    def test_the_second_start_reuses_the_conversion(self, source, tmp_path):
        texts = []
        for _ in range(2):
            with ServerProcess("--model", str(source), "--cache", str(tmp_path)) as server:
                texts += server.texts(PROMPTS[0], max_length=20)
        assert len(server.lines) == 1
        assert texts[0] == texts[1]

    def test_the_shipped_model_is_served_as_demo(self):
        with ServerProcess("--model", "demo") as server:
            (text,) = server.texts("How much is the parking?", max_length=40)
        assert text.strip()

    def test_the_port_answers_only_when_the_model_does(self, source, tmp_path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with ServerProcess("--model", str(source), "--cache", str(tmp_path), port=port) as server:
            assert server.port == port
            assert server.request("GET", "/ping").status == 200


class TestRefusing:
    def test_a_model_of_another_kind_is_named_with_the_way_out(self, tmp_path):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
        (tmp_path / "model.safetensors").write_bytes(b"")
        assert refusal(str(tmp_path), tmp_path) == (
            f"cannot load {tmp_path}: it is a 'llama' model; the embedded server runs T5 and "
            "Flan-T5 only. Serve it with another server by command = [...]"
        )

    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda _folder: None, "it has no config.json, so it is not a model folder"),
            (lambda folder: (folder / "model.bin").touch(), "it has no tokenizer.json"),
        ],
    )
    def test_a_folder_without_a_model_is_refused(self, make, reason, tmp_path):
        make(tmp_path)
        assert reason in refusal(str(tmp_path), tmp_path / "cache")

    def test_a_damaged_model_of_the_engine_is_refused(self, converted, tmp_path):
        shutil.copytree(converted, tmp_path / "model")
        whole = (tmp_path / "model" / "model.bin").read_bytes()
        (tmp_path / "model" / "model.bin").write_bytes(whole[:1000])
        assert "the engine refuses it" in refusal(str(tmp_path / "model"), tmp_path)

    @pytest.mark.parametrize("model", ["/no/such/folder", "./folder", "a/b/c", "two words"])
    def test_a_folder_that_is_not_there_is_refused(self, model, tmp_path):
        with pytest.raises(CannotLoadError, match="there is no such folder"):
            prepare(model, tmp_path, no_report)

    def test_a_file_is_refused(self, tmp_path):
        (tmp_path / "model.bin").touch()
        with pytest.raises(CannotLoadError, match="takes the folder that contains it"):
            prepare(str(tmp_path / "model.bin"), tmp_path, no_report)

    def test_a_taken_port_is_reported_before_the_model_is_examined(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            code, lines = ServerProcess("--model", str(tmp_path), port=port).failure()
        assert code == 1
        assert lines == [f"{PREFIX}cannot listen on 127.0.0.1:{port}: Address already in use"]

    def test_a_cache_that_cannot_be_written_is_reported(self, source, tmp_path):
        (tmp_path / "cache").touch()
        assert "the converted model cannot be kept" in refusal(str(source), tmp_path / "cache")

    @pytest.mark.parametrize("port", ["http", "-1", "65536"])
    def test_a_port_that_is_none_shows_the_usage(self, port):
        command = [sys.executable, "-m", "parkmeter.model_server", "--model", "demo"]
        ended = subprocess.run(
            [*command, "--port", port], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 2
        assert ended.stderr.startswith("usage: python -m parkmeter.model_server")
        assert "argument --port" in ended.stderr.splitlines()[-1]


class TestCache:
    def test_a_conversion_is_made_once(self, source, tmp_path):
        reports: list[str] = []
        first = prepare(str(source), tmp_path, reports.append)
        made = (first / "model.bin").stat().st_mtime_ns
        assert prepare(str(source), tmp_path, reports.append) == first
        assert (first / "model.bin").stat().st_mtime_ns == made
        assert len(reports) == 2

    def test_the_same_model_elsewhere_is_the_same_conversion(self, source, tmp_path):
        shutil.copytree(source, tmp_path / "elsewhere" / source.name)
        first = prepare(str(source), tmp_path / "cache", no_report)
        moved = prepare(str(tmp_path / "elsewhere" / source.name), tmp_path / "cache", no_report)
        assert moved == first

    @pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
    def test_a_changed_file_is_another_conversion(self, file, tmp_path):
        write_t5(tmp_path / "model", Shape())
        first = prepare(str(tmp_path / "model"), tmp_path / "cache", no_report)
        kept = (tmp_path / "model" / file).stat()
        if file == "model.safetensors":
            write_t5(tmp_path / "model", Shape(seed=2))
            # Neither its time nor its length differs.
            os.utime(tmp_path / "model" / file, ns=(kept.st_atime_ns, kept.st_mtime_ns))
        else:
            text = (tmp_path / "model" / file).read_text()
            (tmp_path / "model" / file).write_text(text.replace("{", "{ ", 1))
        assert prepare(str(tmp_path / "model"), tmp_path / "cache", no_report) != first

    def test_a_conversion_ended_half_way_is_made_again(self, source, tmp_path, monkeypatch):
        with monkeypatch.context() as broken:
            broken.setattr(Path, "rename", lambda *_paths: (_ for _ in ()).throw(OSError("full")))
            with pytest.raises(CannotLoadError, match="cannot be kept: full"):
                prepare(str(source), tmp_path, no_report)
        assert not [entry for entry in tmp_path.iterdir() if entry.is_dir()]
        # What a killed process leaves.
        leftover = tmp_path / f"{prepare(str(source), tmp_path / 'other', no_report).name}"
        leftover = leftover.with_name(f"{leftover.name}.unfinished")
        leftover.mkdir()
        (leftover / "model.bin").write_text("half")
        assert (prepare(str(source), tmp_path, no_report) / "model.bin").stat().st_size > 1000
        assert not leftover.exists()

    def test_processes_that_start_at_once_share_one_conversion(self, source, tmp_path):
        servers = [
            ServerProcess("--model", str(source), "--cache", str(tmp_path)) for _ in range(3)
        ]
        texts = set()
        for server in servers:
            with server:
                texts.add(server.texts(PROMPTS[0], max_length=20)[0])
        assert len(texts) == 1
        assert sum("converted in" in line for server in servers for line in server.lines) == 1

    def test_it_lies_where_the_system_keeps_caches(self, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert sources.default_cache() == tmp_path / "parkmeter" / "models"
