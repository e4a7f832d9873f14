"""The cost of the data plane beside other proxies that check a token and forward.

A stub of a model server (about 300 bytes of JSON) and the load (wrk, or our own clients where it
is not installed) share one core, every gateway in turn has the other: ours, nginx with
`auth_request`, and what else can be had here. Rounds are interleaved, ratios are of the same round.
A wrong token must be refused, and one request that fails makes the run no measurement.

The gateway's own processor time a request is what can be compared between busy machines. Requests a
second are the gateway's as long as its core is busy, which is shown; connections to the upstream
count what keep-alive is worth.

    python -m benchmarks.data_plane [--rounds 7] [--seconds 1.0]
    python -m benchmarks.data_plane.against_nginx     (the same in half a minute, nginx only)
"""

from benchmarks.data_plane.measuring import measure
from benchmarks.report import Effort, main

if __name__ == "__main__":
    main(
        __doc__,
        measure,
        full=Effort(rounds=7, seconds=1.0),
        smoke=Effort(rounds=1, seconds=0.2, installs=False),
    )
