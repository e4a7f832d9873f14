"""Implementations of `ports.Store`; they know the ports and the pure modules, never each other."""
