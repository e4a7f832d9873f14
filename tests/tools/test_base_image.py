"""The digest behind the name of the container's base image."""

import hashlib
import io
import sys
from types import SimpleNamespace

import pytest

from tools import base_image

DIGEST = "sha256:" + "0123456789abcdef" * 4
MANIFEST = b'{"schemaVersion": 2, "manifests": []}'


@pytest.fixture(autouse=True)
def containerfile(tmp_path, monkeypatch):
    copy = tmp_path / "Containerfile"
    copy.write_text("# A comment.\nARG BASE=docker.io/library/python:3.13-slim\n\nFROM ${BASE}\n")
    monkeypatch.setattr(base_image, "CONTAINERFILE", copy)
    return copy


def test_the_real_file_names_its_image_in_one_place(monkeypatch):
    monkeypatch.undo()
    text = base_image.CONTAINERFILE.read_text(encoding="utf-8")
    name, digest = base_image.base_of(text)
    assert name.startswith("docker.io/library/python:3.")
    assert digest is None or base_image.pinned(text, digest) == text
    assert text.count("FROM ") == text.count("FROM ${BASE}") == 2


def test_a_digest_is_written_behind_the_name_and_replaces_the_one_before(containerfile, capsys):
    assert base_image.main([]) == 1
    for digest in ("sha256:" + "f" * 64, DIGEST):
        assert base_image.main([digest]) == 0
        assert (
            f"ARG BASE=docker.io/library/python:3.13-slim@{digest}\n" in containerfile.read_text()
        )
    assert base_image.main([]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(DIGEST)


def test_the_digest_of_a_manifest_is_that_of_its_bytes(containerfile, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(MANIFEST)))
    assert base_image.main(["-"]) == 0
    assert f"@sha256:{hashlib.sha256(MANIFEST).hexdigest()}\n" in containerfile.read_text()


@pytest.mark.parametrize("wrong", ["latest", "sha256:123", "sha512:" + "0" * 64, DIGEST + " x"])
def test_what_is_no_digest_changes_nothing(containerfile, wrong):
    before = containerfile.read_text()
    with pytest.raises(SystemExit, match="not a digest"):
        base_image.main([wrong])
    assert containerfile.read_text() == before


@pytest.mark.parametrize("wrong", [b"", b"not found", b"[]", b'{"errors": []}'])
def test_what_is_no_manifest_has_no_digest(wrong):
    with pytest.raises(SystemExit, match="not the manifest"):
        base_image.digest_of(wrong)
