"""The stages of a request of the data plane; they are drawn at `Relay`."""

from enum import Enum, auto


class Stage(Enum):
    """Stage of a request; see `Relay`."""

    NEW = auto()
    DENIED = auto()
    ROUTING = auto()  # see `FrontRelay`
    HELD = auto()
    READING = auto()
    CONNECTING = auto()
    REQUESTED = auto()
    ANSWERING = auto()
    OVER = auto()
