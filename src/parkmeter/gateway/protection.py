"""The gateway's own process, closed to others of its user.

Model servers run as the same user unless they are given one of their own. The environment and the
memory of the gateway contain secrets that they are not passed.
"""

import ctypes
import sys

_SET_DUMPABLE = 4


def protect() -> None:
    """Close `/proc/<pid>` of this process, and tracing it, to all but root; no core dumps either.

    Programs that it starts are not affected.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)
