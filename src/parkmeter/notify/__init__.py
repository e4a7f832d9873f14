"""Implementations of `ports.Notifier`; they know ports and pure modules, never each other."""
