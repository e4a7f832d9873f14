"""The data plane beside nginx only, for a quick check of a change.

python -m benchmarks.data_plane.against_nginx [--rounds 5] [--seconds 1.0]
"""

from functools import partial

from benchmarks.data_plane.measuring import measure
from benchmarks.data_plane.peers.nginx import NGINX
from benchmarks.report import Effort, main

if __name__ == "__main__":
    main(
        __doc__,
        partial(measure, peers=(NGINX,)),
        full=Effort(rounds=5, seconds=1.0, installs=False),
        smoke=Effort(rounds=1, seconds=0.2, installs=False),
    )
