"""Parkmeter: a parking meter for model endpoints.

This module stays empty of imports: the embedded model server and the leash start through it, and
every millisecond here is one that a person waits.
"""

__version__ = "0.1.0"
