"""Lets SageMaker's endpoints go on while nobody asks: the simulator's time passes when it is asked.

Without it no event would tell of an endpoint that got ready by itself. Knows the account only.
"""

import threading
from typing import Self

from simulator.sagemaker.account import Account

EVERY = 0.2
"""Seconds."""


class Passing:
    """Looks at all endpoints again and again, until it is left."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="passing")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(EVERY):
            self._account.endpoints()
