"""A recipe's blocks as programs: in a folder and with an environment of their own."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Self

from tests.clients.recipes import Recipe

FILES = {"sh": "block.sh", "python": "block.py", "javascript": "block.mjs", "java": "Block.java"}
COMMANDS = {"sh": "sh", "python": "python", "javascript": "node", "java": "java"}
PATIENCE = 150.0
"""Seconds a client may take: some try a closed meter again for a minute."""


@dataclass(frozen=True)
class Said:
    """What a client printed, and how it ended."""

    code: int
    text: str

    def has(self, *phrases: str) -> bool:
        """Return True if it printed all of them; lines may be wrapped anywhere."""
        squeezed = re.sub(r"\s+|│", "", self.text)
        return all(re.sub(r"\s+", "", phrase) in squeezed for phrase in phrases)


class Running:
    """A block that runs; what it prints is read as it comes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._text = b""
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    @classmethod
    def of(
        cls, command: list[str], folder: Path | None = None, environment: dict | None = None
    ) -> Self:
        """Start a command in a process group of its own."""
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(process)

    def _read(self) -> None:
        with self._process.stdout as pipe:
            while piece := os.read(pipe.fileno(), 65536):
                self._text += piece

    def until(self, phrase: str, seconds: float = PATIENCE) -> bool:
        """Return True once it printed the phrase, False if it ended or ran out of time first."""
        give_up = time.monotonic() + seconds
        while phrase.encode() not in self._text:
            if not self._reader.is_alive() or time.monotonic() > give_up:
                return phrase.encode() in self._text
            time.sleep(0.01)
        return True

    def ended(self) -> bool:
        return self._process.poll() is not None

    def result(self, seconds: float = PATIENCE) -> Said:
        """Wait for its end, and end it when it takes too long."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            return Said(-1, self._text.decode(errors="replace") + "\n(took too long)")
        self._reader.join(10)
        return Said(code, self._text.decode(errors="replace"))

    def stop(self) -> None:
        """End it and what it started."""
        for sent in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, sent)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
                break


class Program:
    """The blocks of one recipe, with one model in place of `qwen`.

    `replaced`: other texts of the page, such as addresses, and what stands for them in this run.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        replaced: Mapping[str, str],
        environment: Mapping[str, str],
        model: str = "qwen",
    ) -> None:
        self._recipe = recipe
        self._folder = folder
        self._replaced = replaced
        self._model = model
        folder.mkdir(parents=True)
        modules = environment.get("NODE_MODULES")
        if modules:
            (folder / "node_modules").symlink_to(modules)
        self.environment = {**environment, "HOME": str(folder)}
        for language, file in recipe.files.items():
            (folder / file).write_text(self._as_typed(recipe.block(0, language)))
        for number in recipe.setup:
            self.environment = self._set_up(recipe.block(number, "sh"))

    def for_model(self, model: str) -> Self:
        """Return the same with another model; what it is set up with stays."""
        recipe = self._recipe
        named = any("qwen" in recipe.block(number, "sh") for number in recipe.setup)
        if not named:
            recipe = replace(recipe, setup=())
        folder = self._folder.with_name(model)
        return type(self)(recipe, folder, self._replaced, self.environment, model)

    def start(self, number: int, language: str = "") -> Running:
        """Run the block of that number."""
        language = language or self._recipe.language
        block = self._as_typed(self._recipe.block(number, language))
        folder = self._folder / f"{language}-{number}"
        folder.mkdir(exist_ok=True)
        file = folder / FILES[language]
        file.write_text(block)
        return self._spawn([COMMANDS[language], str(file)])

    def run(self, number: int) -> Said:
        return self.start(number).result()

    def _as_typed(self, block: str) -> str:
        for printed, real in self._replaced.items():
            block = block.replace(printed, real)
        return re.sub(r"\bqwen\b", self._model, block)

    def _set_up(self, block: str) -> dict[str, str]:
        """Run a block of settings; return the environment after it."""
        script = f"{self._as_typed(block)}\nenv -0 > .environment"
        said = self._spawn(["sh", "-ec", script]).result()
        assert said.code == 0, said.text
        pairs = (self._folder / ".environment").read_bytes().decode().split("\0")
        return dict(pair.split("=", 1) for pair in pairs if pair)

    def _spawn(self, command: list[str]) -> Running:
        return Running.of(command, self._folder, self.environment)
