"""The fake driver, whose leash reports what it cuts off."""

from collections.abc import Callable
from datetime import datetime

from parkmeter.core.meter import Phase
from parkmeter.drivers.fake import FakeDriver


class WatchedDriver(FakeDriver):
    """`cut_off(name, deadline)` is called when a leash ends its endpoint."""

    cut_off: Callable[[str, datetime], None]

    def present(self) -> list[str]:
        """Return the endpoints that are not absent, whatever is scripted to be refused."""
        return [name for name in sorted(self._endpoints) if self.phase(name) is not Phase.ABSENT]

    def phase(self, name: str) -> Phase:
        """Return the present phase."""
        return self._present(name).seen.phase

    def refuses(self) -> set[str]:
        """Return the names of endpoints for which calls are still refused; "": the list."""
        return {name for (_, name), left in self._refusals.items() if left.times > 0}

    def heal(self) -> None:
        """End everything that is scripted: failures, refusals, stuck and busy endpoints."""
        self._refusals.clear()
        self._next_failures.clear()
        for name, endpoint in self._endpoints.items():
            endpoint.stuck = False
            if endpoint.then_at is not None:  # not delayed by a clock that was set back
                endpoint.then_at = min(endpoint.then_at, self.now() + self.start_takes)
            if self.phase(name) is Phase.BUSY:
                self.show(name, Phase.READY)
        self.calls.clear()

    def _stop(self, endpoint, at, reason):
        if reason.endswith("by its leash"):
            name = next(name for name, one in self._endpoints.items() if one is endpoint)
            self.cut_off(name, endpoint.until)
        super()._stop(endpoint, at, reason)
