"""Python blocks run in this process: a client that is slow to import is imported once."""

import threading
import time
import traceback
from functools import partial
from io import StringIO

from tests.clients.programs import PATIENCE, Program, Said


class Inside:
    """A block that runs in a thread, with a `print` of its own; reads as `Running` does."""

    def __init__(self, block: str) -> None:
        self._block = block
        self._text = StringIO()
        self._code = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        printing = partial(print, file=self._text)
        try:
            exec(compile(self._block, "block.py", "exec"), {"print": printing})
        except Exception:  # noqa: BLE001 (a client may raise anything)
            self._code = 1
            printing(traceback.format_exc())

    def until(self, phrase: str, seconds: float = PATIENCE) -> bool:
        give_up = time.monotonic() + seconds
        while phrase not in self._text.getvalue():
            if not self._thread.is_alive() or time.monotonic() > give_up:
                return phrase in self._text.getvalue()
            time.sleep(0.01)
        return True

    def ended(self) -> bool:
        return not self._thread.is_alive()

    def result(self, seconds: float = PATIENCE) -> Said:
        self._thread.join(seconds)
        assert self.ended(), "the block took too long"
        return Said(self._code, self._text.getvalue())


class InsideProgram(Program):
    """A recipe's Python blocks in this process, whose environment must be the recipe's."""

    def start(self, number: int, language: str = "") -> Inside:
        return Inside(self._as_typed(self._recipe.block(number, language)))
