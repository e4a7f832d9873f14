"""Entry point. It runs without site-packages (`-I -S`), so it adds parkmeter to the path itself."""

import os.path
import sys


def _run() -> None:
    # At the end: nothing beside parkmeter may shadow a module of the standard library.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))  # noqa: PTH120
    from parkmeter.leash.main import main  # noqa: PLC0415 (after the line above)

    main()


if __name__ == "__main__":
    _run()
