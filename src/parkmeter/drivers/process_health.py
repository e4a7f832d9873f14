"""Whether a local server answers its health check. Knows HTTP, not processes."""

import http.client
import time

PING_TIMEOUT = 0.5
"""Seconds: the clock looks at all endpoints in turn, and one that hangs must not hold up the
others for longer."""

BREATHER = 1.0
"""Seconds without another question after one that ran into the timeout: a server busy loading its
model is not helped by ten connections a second, nor is the clock."""


class HealthCheck:
    """Asks servers; remembers only whom to let breathe."""

    def __init__(self) -> None:
        self._not_before: dict[str, float] = {}

    def passes(self, run: str, port: int, path: str) -> bool:
        """Whether `GET path` answers 200 within half a second, asked now."""
        if time.monotonic() < self._not_before.get(run, 0.0):
            return False
        self._not_before.pop(run, None)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PING_TIMEOUT)
        try:
            connection.request("GET", path)
            passed = connection.getresponse().status == http.client.OK
        except TimeoutError:
            self._not_before[run] = time.monotonic() + BREATHER
            return False
        except (OSError, http.client.HTTPException):  # not listening yet, or not HTTP yet
            return False
        finally:
            connection.close()
        return passed
