"""Implementations of `ports.Store`, independent of each other."""
