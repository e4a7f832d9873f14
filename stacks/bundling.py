"""Lambda packages built without Docker: parkmeter's modules and pinned wheels for Lambda.

`-c platform=local` builds for this machine and Python instead, to run the packages here. Packages
of AWS's runtime (boto3) are not included.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import jsii
from aws_cdk import App, AssetHashType, BundlingOptions, ILocalBundling, aws_lambda

from stacks.functions import RUNTIME
from stacks.module_graph import Needed, needed_by

CONTEXT = "platform"
LAMBDA, LOCAL = "arm64", "local"

PROVIDED = frozenset({"boto3", "botocore"})
"""By Lambda's own runtime, or by the environment when packages run locally."""

_HERE = Path(__file__).parent
_SOURCE = _HERE.parent / "src"
_LAMBDA_PYTHON = RUNTIME.name.removeprefix("python")
_UV_PLATFORM = "aarch64-manylinux_2_28"
_WHEELS_FOR_LAMBDA = (
    "--platform=manylinux_2_28_aarch64",
    "--platform=manylinux_2_17_aarch64",
    "--platform=manylinux2014_aarch64",
    "--implementation=cp",
    f"--python-version={_LAMBDA_PYTHON}",
)


@dataclass(frozen=True, slots=True)
class Pinned:
    """A file of pinned requirements. `brings`: the packages that can be imported with it.

    Each file includes all dependencies and is installed without resolving more: pip would evaluate
    conditions such as `python_version < "3.13"` for the Python it runs on, not for Lambda's.
    """

    file: Path | None
    brings: frozenset[str]


PINNED = (
    Pinned(None, frozenset()),
    Pinned(_HERE / "requirements" / "pydantic.txt", frozenset({"pydantic", "pydantic_core"})),
    Pinned(
        _HERE / "requirements" / "web.txt",
        frozenset({"anyio", "pydantic", "pydantic_core", "fastapi", "starlette", "mangum"}),
    ),
)
"""Smallest first: a function gets the first one with everything it imports."""


def pinned_for(others: Iterable[str]) -> Pinned:
    """Return the smallest set of requirements with all of these top-level names.

    Raises:
        ValueError: there is none; names the missing packages.

    """
    wanted = frozenset(others) - PROVIDED
    for pinned in PINNED:
        if wanted <= pinned.brings:
            return pinned
    missing = ", ".join(sorted(wanted - PINNED[-1].brings))
    raise ValueError(f"{missing}: not in the Lambda packages; pin it in stacks/requirements/")


@dataclass(frozen=True, slots=True)
class LambdaPackages:
    """Packages for a platform: `arm64` (Lambda's) or `local`."""

    platform: str = LAMBDA
    source: Path = _SOURCE

    def __post_init__(self) -> None:
        if self.platform not in (LAMBDA, LOCAL):
            raise ValueError(f"-c {CONTEXT}={self.platform}: {LAMBDA} or {LOCAL}")

    @classmethod
    def for_app(cls, app: App) -> Self:
        """Return the packages for the platform in the CDK context."""
        return cls(app.node.try_get_context(CONTEXT) or LAMBDA)

    def code(self, module: str) -> aws_lambda.Code:
        """Return the package with the handler `<module>.handler`."""
        needed = needed_by(module, self.source)
        pinned = pinned_for(needed.others)
        return aws_lambda.Code.from_asset(
            str(_HERE / "requirements"),
            # A hash of the inputs, not of the output: equal inputs are not built again.
            asset_hash_type=AssetHashType.CUSTOM,
            asset_hash=self._digest(module, needed, pinned),
            bundling=BundlingOptions(
                image=RUNTIME.bundling_image,  # required, never used
                local=_Bundling(self, needed, pinned),
            ),
        )

    def build(self, needed: Needed, pinned: Pinned, folder: Path) -> None:
        """Build a package in a folder. Lambda can read it, under any umask of this process."""
        for file in needed.files:
            copy = folder / file.relative_to(self.source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        if pinned.file is not None:
            installed = _installed(pinned.file, self.platform)
            shutil.copytree(installed.name, folder, dirs_exist_ok=True)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def _digest(self, module: str, needed: Needed, pinned: Pinned) -> str:
        python = sys.version if self.platform == LOCAL else RUNTIME.name
        digest = hashlib.sha256(f"{module} {self.platform} {python}".encode())
        for file in (*needed.files, *((pinned.file,) if pinned.file else ())):
            digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
        return digest.hexdigest()


@cache
def _installed(requirements: Path, platform: str) -> TemporaryDirectory[str]:
    """Return a folder with pinned requirements, installed once per process and removed with it."""
    installer, folder = _installer(platform), TemporaryDirectory(prefix="parkmeter-lambda-")
    command = [
        *installer,
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--requirement",
        str(requirements),
        "--target",
        folder.name,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise RuntimeError(f"a Lambda package could not be built:\n{done.stderr}")
    # Command line tools of the packages, notes for tools that write code, and uv's lock.
    for unused in (Path(folder.name) / "bin", *Path(folder.name).rglob(".*")):
        if unused.is_dir():
            shutil.rmtree(unused)
        else:
            unused.unlink(missing_ok=True)
    return folder


def _installer(platform: str) -> list[str]:
    """Return the command that installs packages: pip, or uv, in whose environments pip is missing.

    Raises:
        RuntimeError: there is neither.

    """
    for_lambda = platform == LAMBDA
    if importlib.util.find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
        return [*pip, "--no-compile", *(_WHEELS_FOR_LAMBDA if for_lambda else ())]
    beside = str(Path(sys.executable).parent)
    uv = shutil.which("uv", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
    if uv is not None:
        machine = [f"--python-platform={_UV_PLATFORM}", f"--python-version={_LAMBDA_PYTHON}"]
        return [uv, "pip", "install", *(machine if for_lambda else [f"--python={sys.executable}"])]
    raise RuntimeError(
        f"{sys.executable} has no pip, and there is no uv. Lambda packages need one of them: run "
        f"{sys.executable} -m ensurepip, or install uv."
    )


@jsii.implements(ILocalBundling)
class _Bundling:
    """The bundling that CDK calls instead of Docker, for changed stacks that are deployed."""

    def __init__(self, packages: LambdaPackages, needed: Needed, pinned: Pinned) -> None:
        self._packages, self._needed, self._pinned = packages, needed, pinned

    def try_bundle(self, output_dir: str, *_: object, **__: object) -> bool:
        """Build into CDK's folder, or raise: there is no Docker to fall back to."""
        self._packages.build(self._needed, self._pinned, Path(output_dir))
        return True
