"""The container's base image, pinned by its digest in the Containerfile.

    python -m tools.base_image sha256:…            # a digest that another tool printed
    skopeo inspect --raw docker://IMAGE | python -m tools.base_image -
    python -m tools.base_image                     # show it; exits with 1 if it has no digest

A digest is the SHA-256 of the image's manifest as the registry serves it, byte for byte. `docker
buildx imagetools inspect --raw IMAGE` prints these bytes too, and without `--raw` the digest. This
command fetches nothing itself.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

CONTAINERFILE = Path(__file__).parents[1] / "Containerfile"
_BASE = re.compile(r"^ARG BASE=(?P<name>[^@\s]+)(?:@(?P<digest>\S+))?$", re.MULTILINE)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def base_of(text: str) -> tuple[str, str | None]:
    """Return the name of the base image in a Containerfile, and its digest if it has one."""
    found = _BASE.search(text)
    if found is None:
        raise SystemExit("There is no line ARG BASE=… in the Containerfile.")
    return found["name"], found["digest"]


def pinned(text: str, digest: str) -> str:
    """Return the Containerfile with this digest behind the name of its base image."""
    if not _DIGEST.fullmatch(digest):
        raise SystemExit(f"{digest!r} is not a digest: sha256: and 64 hexadecimal digits.")
    name, _ = base_of(text)
    return _BASE.sub(f"ARG BASE={name}@{digest}", text, count=1)


def digest_of(manifest: bytes) -> str:
    """Return the digest of a manifest, byte for byte as the registry serves it."""
    try:
        document = json.loads(manifest)
    except ValueError:
        document = None
    if not isinstance(document, dict) or "schemaVersion" not in document:
        raise SystemExit("The input is not the manifest of an image.")
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def main(arguments: list[str]) -> int:
    """Show the base image, or pin it; return the exit code."""
    text = CONTAINERFILE.read_text(encoding="utf-8")
    match arguments:
        case []:
            name, digest = base_of(text)
            print(f"{name}@{digest}" if digest else f"{name} has no digest")
            return 0 if digest else 1
        case ["-"]:
            digest = digest_of(sys.stdin.buffer.read())
        case [digest]:
            pass
        case _:
            raise SystemExit(__doc__)
    CONTAINERFILE.write_text(pinned(text, digest), encoding="utf-8")
    print(f"{base_of(text)[0]}@{digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
