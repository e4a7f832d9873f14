"""A thread that polls an account, so that endpoints change state without a call."""

import threading
from typing import Self

from simulator.sagemaker.account import Account


class Poller:
    """A thread that polls the account while it is entered.

    An account advances its endpoints only when it is read: without polling, the event of an
    endpoint that gets ready by itself would come late.
    """

    INTERVAL = 0.2
    """Seconds."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="endpoint poller")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self.INTERVAL):
            self._account.endpoints()
