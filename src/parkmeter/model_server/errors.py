"""What can go wrong with a model before it serves. Knows nothing of HTTP."""


class CannotLoadError(Exception):
    """Raised when a model cannot be loaded; the message is one line meant for people."""
