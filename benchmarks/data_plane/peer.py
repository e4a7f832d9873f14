"""A gateway that is measured: its program, its start and its request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.data_plane.questions import Question


class UnavailableError(Exception):
    """Raised when a peer cannot be had on this machine; says why."""


@dataclass(frozen=True, slots=True)
class Program:
    """Something that can be run here; `environment` is added to what every process has."""

    path: str
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ground:
    """The place of a gateway: it listens on `port`; its upstream is on loopback too."""

    folder: Path
    port: int
    upstream: int


class Find(Protocol):
    """Return a program; raises UnavailableError."""

    def __call__(self, *, install: bool) -> Program:
        """Without `install` only what the machine itself has is taken."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A gateway that checks a token and forwards to the stub, on one core.

    `command` writes what configuration it needs into the ground's folder. A round lasts at least
    `least_seconds`, so that many requests are answered within it.
    """

    name: str
    find: Find
    command: Callable[[Program, Ground], list[str]]
    question: Question = field(default_factory=Question)
    least_seconds: float = 0.0
