"""The end of a gateway whose store another process has locked."""

import sqlite3
import time
from contextlib import closing

from tests.support.gateway_process import GatewayProcess, alive, eventually, ping_config


def test_a_locked_store_delays_neither_the_end_of_servers_nor_that_of_the_gateway(tmp_path):
    with GatewayProcess(tmp_path / "state", ping_config()).start() as gateway:
        gateway.until("running")
        server = gateway.records()[0]["server"]
        # Counted, and to be written at the end.
        assert gateway.request("POST", "/flan", {}).status == 200
        with closing(sqlite3.connect(gateway.state / "parkmeter.sqlite")) as other:
            other.execute("BEGIN EXCLUSIVE")
            began = time.monotonic()
            gateway.process.terminate()
            eventually(lambda: not alive(server), seconds=15)
            assert gateway.process.wait(25 - (time.monotonic() - began)) == 0
        output = gateway.output()
        assert "Endpoints stopped. Bought time keeps running out" in output
        assert "Traceback" not in output
