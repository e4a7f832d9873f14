"""Converts the trained folder with the product's own converter, and checks what came out.

``python -m tools.demo_model.convert --model build/demo-model``

Needs no torch: the trained folder carries the first-token probabilities of the original.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from parkmeter.model_server.conversion import convert
from tools.demo_model import first_token
from tools.demo_model.engine import ConvertedModel

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED = REPOSITORY / "src/parkmeter/model_server/demo"
REFERENCE = REPOSITORY / "tests/data/demo_model_first_token.json"
FIRST_TOKENS = "first_tokens.json"


def distances(converted: Path, reference: Path) -> dict[str, float]:
    """Return per prompt how far the converted model's first token is from the original's."""
    model = ConvertedModel(converted)
    return {
        prompt: first_token.distance(original, model.first_token(prompt))
        for prompt, original in first_token.read(reference).items()
    }


def main() -> int:
    """Convert, compare with the original, and only then replace what is shipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder written by train.py")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--reference", type=Path, default=REFERENCE)
    options = parser.parse_args()
    original = options.model / FIRST_TOKENS
    with tempfile.TemporaryDirectory() as scratch:
        converted = Path(scratch)
        convert(options.model, converted)
        measured = distances(converted, original)
        worst = max(measured, key=lambda prompt: measured[prompt])
        print(f"first token: {measured[worst]:.3f} from the original at worst, for {worst!r}")
        if measured[worst] > first_token.FARTHEST:
            print(f"more than {first_token.FARTHEST}: nothing written", file=sys.stderr)
            return 1
        shutil.copytree(converted, options.out, dirs_exist_ok=True)
    options.reference.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(original, options.reference)
    size = sum(file.stat().st_size for file in options.out.iterdir())
    print(f"{options.out}: {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
