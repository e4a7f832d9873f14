"""Where a leash begins. Isolated from site-packages (`-I -S`), so the way to itself is added."""

import os.path
import sys


def _begin() -> None:
    # At the end: nothing that lies beside parkmeter may hide a module of the standard library.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))  # noqa: PTH120
    from parkmeter.leash.main import main  # noqa: PLC0415 (after the line above)

    main()


if __name__ == "__main__":
    _begin()
