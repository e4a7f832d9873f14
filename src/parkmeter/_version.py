"""The version, for the package, its build and its wheels."""

__version__ = "0.1.0"
