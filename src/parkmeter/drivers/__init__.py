"""Implementations of `ports.Driver`; they know the ports and the pure modules, never each other."""
