"""The requirements file of `make run`: exact, complete, hashed, and without addresses."""

import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.pins import FILE, ROOT, faults, pins_in, wanted

TEXT = FILE.read_text(encoding="utf-8")


def test_the_file_fits_the_project_on_every_python_and_platform():
    assert list(faults(TEXT)) == []


def test_every_version_has_the_hashes_of_more_files_than_one_machine_needs():
    compiled = [pin for pin in pins_in(TEXT) if pin.name in {"ctranslate2", "httptools", "uvloop"}]
    assert len(compiled) == 3
    assert all(pin.hashes > 10 for pin in compiled)


def test_whatever_a_version_requires_has_a_version_too():
    pins = {pin.name: pin for pin in pins_in(TEXT)}
    missing = set()
    looked_at = 0
    for pin in pins.values():
        try:
            installed = distribution(pin.name)
        except PackageNotFoundError:  # for another platform
            continue
        if installed.version != pin.version:
            continue
        looked_at += 1
        for line in installed.requires or []:
            required = Requirement(line)
            if required.marker is None or required.marker.evaluate({"extra": ""}):
                missing |= {canonicalize_name(required.name)} - set(pins)
    assert missing == set()
    assert looked_at > 10


def without(name: str) -> str:
    """Return the file without a package."""
    return re.sub(rf"^{name}==(?:.*\\\n)*.*\n", "", TEXT, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (without("fastapi"), "fastapi is missing"),
        (without("hatchling"), "hatchling is missing"),
        (without("editables"), "editables is missing"),
        (
            re.sub(r"^fastapi==\S+", "fastapi==0.1", TEXT, flags=re.MULTILINE),
            "fastapi 0.1 does not",
        ),
        ("somewhere==1.0\n" + TEXT, "somewhere 1.0 has no hash"),
        ("--index-url https://elsewhere.test/simple\n", "download address"),
        (TEXT.replace("; python_full_version < '3.12'", ""), "numpy has two versions"),
    ],
)
def test_a_fault_is_found(text, fault):
    assert any(fault in found for found in faults(text))


def test_the_build_itself_is_among_them():
    names = {requirement.name for requirement in wanted()}
    assert {"hatchling", "editables", "fastapi"} <= names


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("word", "first"),
    [
        ((), "install --require-hashes --requirement packaging/requirements-run.txt"),
        (("PINNED=no",), "install --editable '.[t5]'"),
    ],
)
def test_make_run_installs_them_by_hash_unless_one_word_says_otherwise(tmp_path, word, first):
    for name in ("Makefile", "pyproject.toml", str(FILE.relative_to(ROOT))):
        copy = tmp_path / name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, copy)
    steps = subprocess.run(
        ["make", "--dry-run", "run", *word],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    installs = re.findall(r"/pip .*?(install .*?)(?: \\)?$", steps, re.MULTILINE)
    assert installs[0] == first
    assert installs[1:] == ([] if word else ["install --no-deps --no-build-isolation --editable ."])


def test_the_way_to_install_the_service_is_the_same():
    page = (ROOT / "packaging" / "README.md").read_text(encoding="utf-8")
    assert f"--require-hashes --requirement {FILE.relative_to(ROOT)}" in page
    assert "--no-deps --no-build-isolation ." in page


def test_nothing_says_to_install_the_bare_name_from_an_index():
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Containerfile", "Makefile")]
    folders = ("docs", "examples", "packaging", "src", "tools")
    pages += [page for folder in folders for page in (ROOT / folder).rglob("*")]
    bare = re.compile(r"pip3? install\b[^\n`]*?(?<![\w/.-])parkmeter(?![\w/.-])")
    found = {
        str(page.relative_to(ROOT))
        for page in pages
        if page.is_file() and bare.search(page.read_text(encoding="utf-8", errors="replace"))
    }
    assert found == set()
    assert bare.search("sudo /opt/parkmeter/bin/pip install parkmeter")
    assert bare.search("pip install 'parkmeter[notify]'")
