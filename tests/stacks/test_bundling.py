"""Lambda packages: their contents, and building one without Docker."""

import os
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from stacks import bundling
from stacks.bundling import LAMBDA, LOCAL, PINNED, LambdaPackages, pinned_for
from stacks.module_graph import needed_by

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
PROMPTS = "parkmeter.aws.inference"
SHAPES = "parkmeter.api.schemas"


def _written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def test_a_package_has_the_modules_that_its_handler_reaches_and_no_others(tmp_path: Path):
    source = _written(
        tmp_path,
        {
            "parkmeter/__init__.py": "",
            "parkmeter/aws/__init__.py": "",
            "parkmeter/aws/one.py": "import json, boto3\nfrom parkmeter import rules\n",
            "parkmeter/rules.py": "def f():\n    from parkmeter.late import g\n",
            "parkmeter/late.py": "import pydantic.fields\ng = 1\n",
            "parkmeter/other.py": "import fastapi\n",
        },
    )
    needed = needed_by("parkmeter.aws.one", source)
    names = {file.relative_to(source).as_posix() for file in needed.files}
    assert names == {
        "parkmeter/__init__.py",
        "parkmeter/aws/__init__.py",
        "parkmeter/aws/one.py",
        "parkmeter/rules.py",
        "parkmeter/late.py",
    }
    assert needed.others == {"boto3", "pydantic"}


def test_the_prompt_function_loads_few_modules():
    """A cold start delays a prompt, and each module makes it longer."""
    packed = [file for file in needed_by(PROMPTS, SOURCE).files if file.suffix == ".py"]
    code = (
        f"import sys, {PROMPTS}; print(*(m for m in sys.modules if m.split('.')[0] == 'parkmeter'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    loaded = done.stdout.split()
    assert len(loaded) == len(packed) <= 27


def test_a_package_has_what_lies_beside_its_modules_and_is_no_python(tmp_path: Path):
    source = _written(
        tmp_path,
        {
            "parkmeter/__init__.py": "",
            "parkmeter/one.py": "import parkmeter.page\n",
            "parkmeter/page/__init__.py": "",
            "parkmeter/page/index.html": "",
            "parkmeter/page/others/LICENSE.txt": "",
            "parkmeter/page/__pycache__/page.pyc": "",
            "parkmeter/model/__init__.py": "",
            "parkmeter/model/weights.bin": "",
        },
    )
    names = {
        file.relative_to(source).as_posix() for file in needed_by("parkmeter.one", source).files
    }
    assert {name for name in names if not name.endswith(".py")} == {
        "parkmeter/page/index.html",
        "parkmeter/page/others/LICENSE.txt",
    }


def test_control_brings_the_dashboard_and_a_prompt_does_not():
    def files(module: str) -> set[str]:
        return {file.name for file in needed_by(module, SOURCE).files}

    page = {"index.html", "main.js", "style.css", "uPlot.iife.min.js", "uPlot.LICENSE.txt"}
    assert page <= files("parkmeter.aws.control")
    assert not page & files("parkmeter.aws.inference")


def test_a_package_gets_the_smallest_requirements_that_are_enough():
    assert pinned_for({"boto3", "botocore"}).file is None
    assert pinned_for({"boto3", "pydantic"}) == PINNED[1]
    assert pinned_for({"fastapi"}) == PINNED[2]


def test_what_is_not_pinned_stops_the_build_by_name():
    with pytest.raises(ValueError, match="uvicorn"):
        pinned_for({"boto3", "uvicorn"})


def test_a_handler_that_is_not_there_stops_the_build(tmp_path: Path):
    with pytest.raises(ValueError, match=r"no module parkmeter\.aws\.none"):
        needed_by("parkmeter.aws.none", tmp_path)


def test_pinned_versions_lie_in_the_ranges_that_the_project_names():
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    ranges = {
        wanted.name: wanted.specifier
        for wanted in map(Requirement, document["project"]["dependencies"])
    }
    pins = [
        line.partition("==")
        for pinned in PINNED[1:]
        for line in pinned.file.read_text().splitlines()
        if not line.startswith("#")
    ]
    assert {"fastapi", "pydantic"} <= {name for name, _, _ in pins}
    assert all(pin in ranges[name] for name, _, pin in pins if name in ranges)


def test_larger_requirements_contain_the_smaller_ones_with_the_same_versions():
    store, web = (set(pinned.file.read_text().splitlines()[1:]) for pinned in PINNED[1:])
    assert {line for line in store if "==" in line} <= web


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Requirements of one wheel, which holds more than its modules."""
    name = tmp_path / "demo-1.0-py3-none-any.whl"
    info = "demo-1.0.dist-info"
    with zipfile.ZipFile(name, "w") as made:
        made.writestr("demo/__init__.py", "")
        made.writestr("demo/.agents/skills/demo.md", "for tools that write code")
        made.writestr("demo/.hidden", "")
        made.writestr("demo-1.0.data/scripts/demo", "#!python\n")
        made.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
        made.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        made.writestr(f"{info}/RECORD", "")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"{name}\n")
    return requirements


def test_what_a_lambda_does_not_run_is_not_in_its_package(wheel: Path):
    with bundling._installed(wheel, LOCAL) as folder:
        files = {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*")}
    assert {"demo", "demo/__init__.py"} <= files
    assert not [name for name in files if "/." in name or name.startswith("bin")]


def test_lambda_can_read_a_package_that_was_built_under_a_strict_umask(tmp_path: Path):
    needed = needed_by(PROMPTS, SOURCE)
    before = os.umask(0o077)
    try:
        folder = tmp_path / "package"
        folder.mkdir()
        LambdaPackages(LOCAL).build(needed, PINNED[0], folder)
    finally:
        os.umask(before)
    modes = {
        (path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in (folder, *folder.rglob("*"))
    }
    assert modes == {(True, 0o755), (False, 0o644)}


@pytest.mark.parametrize("platform", [LAMBDA, LOCAL])
def test_where_pip_is_missing_uv_builds_the_package(
    platform: str, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    uv, heard = tmp_path / "bin" / "uv", tmp_path / "heard"
    uv.parent.mkdir()
    uv.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {heard}\n')
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", str(uv.parent), prepend=os.pathsep)
    monkeypatch.setattr(bundling.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    bundling._installed.__wrapped__(wheel, platform).cleanup()
    words = heard.read_text().splitlines()
    assert words[:2] == ["pip", "install"]
    assert {"--no-deps", "--only-binary=:all:", str(wheel)} <= set(words)
    for_lambda = {"--python-platform=aarch64-manylinux_2_28", "--python-version=3.14"}
    assert (for_lambda <= set(words)) == (platform == LAMBDA)


def test_without_pip_and_uv_the_build_says_what_to_install(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(bundling.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(RuntimeError, match="ensurepip, or install uv"):
        bundling._installed.__wrapped__(wheel, LOCAL)


@pytest.mark.timeout(300)
def test_a_package_for_lambda_holds_wheels_for_its_machine_and_stays_small(tmp_path: Path):
    needed = needed_by(SHAPES, SOURCE)
    LambdaPackages().build(needed, pinned_for(needed.others), tmp_path)
    built = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.so")}
    assert any("cpython-314-aarch64-linux-gnu" in name for name in built)
    assert not (tmp_path / "fastapi").exists()
    assert not (tmp_path / "boto3").exists()
    assert (tmp_path / "parkmeter" / "api" / "schemas.py").is_file()
    assert not (tmp_path / "parkmeter" / "stores" / "sqlite.py").exists()
    size = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    assert size < 12_000_000


@pytest.mark.timeout(300)
def test_a_package_for_the_machine_at_hand_runs_here(tmp_path: Path):
    needed = needed_by(SHAPES, SOURCE)
    LambdaPackages(LOCAL).build(needed, pinned_for(needed.others), tmp_path)
    code = f"import {SHAPES}, pydantic; print({SHAPES}.__file__, pydantic.__file__, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert all(line.startswith(str(tmp_path)) for line in done.stdout.split())


@pytest.mark.parametrize("handler", ["authorizer", "inference"])
def test_what_a_prompt_passes_through_needs_only_what_lambda_has(handler: str):
    assert pinned_for(needed_by(f"parkmeter.aws.{handler}", SOURCE).others).file is None


def test_control_gets_the_web_framework():
    assert pinned_for(needed_by("parkmeter.aws.control", SOURCE).others) == PINNED[2]
