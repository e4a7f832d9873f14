"""Implementations of `ports.Driver`; they know the ports and the core, never each other."""
