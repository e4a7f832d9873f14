"""A hub id: the real client against a hub on loopback, and against none."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.model_server_process import ServerProcess
from tests.support.tiny_t5 import PROMPTS

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "example/tiny-t5"


class Hub:
    """Serves one model folder the way the hub does, and remembers what was fetched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fetched: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                hub.answer(self, with_body=True)

            def do_HEAD(self):
                hub.answer(self, with_body=False)

            def log_message(self, *_given):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def answer(self, request: BaseHTTPRequestHandler, *, with_body: bool) -> None:
        path = request.path.partition("?")[0]
        headers: dict[str, str] = {"x-repo-commit": COMMIT}
        body = b"{}"
        status = 404
        if path.startswith(f"/api/models/{NAME}/tree/"):
            files = sorted(self.folder.iterdir())
            body = json.dumps([self._listed(file) for file in files]).encode()
            status = 200
        elif path.startswith(f"/api/models/{NAME}/"):
            body = json.dumps({"id": NAME, "sha": COMMIT}).encode()
            status = 200
        elif path.startswith(f"/{NAME}/resolve/"):
            name = path.rpartition("/")[2]
            body = (self.folder / name).read_bytes()
            headers["etag"] = f'"{hashlib.sha256(body).hexdigest()}"'
            status = 200
            if with_body:
                self.fetched.append(name)
        else:
            headers["x-error-code"] = "RepoNotFound"
        request.send_response(status)
        for key, value in {**headers, "content-length": str(len(body))}.items():
            request.send_header(key, value)
        request.end_headers()
        if with_body:
            request.wfile.write(body)

    def _listed(self, file: Path) -> dict[str, object]:
        oid = hashlib.sha256(file.read_bytes()).hexdigest()
        return {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": oid}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def hub(source, tmp_path) -> Iterator[Hub]:
    folder = tmp_path / "published"
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "pytorch_model.bin").write_bytes(b"not wanted")
    (folder / "README.md").write_text("not wanted either")
    served = Hub(folder)
    yield served
    served.close()


def environment(home: Path, url: str) -> dict[str, str]:
    others = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    return {**others, "HF_HOME": str(home), "HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1"}


def start(model: str, tmp_path: Path, url: str) -> ServerProcess:
    env = environment(tmp_path / "hub", url)
    return ServerProcess("--model", model, "--cache", str(tmp_path / "cache"), env=env)


def test_a_model_of_the_hub_is_downloaded_converted_and_served(hub, tmp_path):
    with start(NAME, tmp_path, hub.url) as server:
        assert len(server.texts(PROMPTS[0], max_length=5)) == 1
    assert sorted(hub.fetched) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert any(f"requesting {NAME}" in line for line in server.lines)


def test_what_was_downloaded_serves_without_the_hub(hub, tmp_path):
    with start(NAME, tmp_path, hub.url):
        pass
    hub.fetched.clear()
    with start(NAME, tmp_path, "http://127.0.0.1:1") as server:
        assert server.texts(PROMPTS[0], max_length=5)
    assert hub.fetched == []


def test_a_model_the_hub_does_not_know_is_reported(hub, tmp_path):
    code, lines = start("example/other", tmp_path, hub.url).failure()
    assert code == 1
    assert lines[-1] == (
        "parkmeter model server: cannot load example/other: there is no such folder, and no "
        "such model on the hub (private and gated ones need access and HF_TOKEN)"
    )


def test_a_hub_out_of_reach_is_reported(tmp_path):
    code, lines = start(NAME, tmp_path, "http://127.0.0.1:1").failure()
    assert code == 1
    assert "the hub cannot be reached" in lines[-1]
