"""Implementations of `ports.Notifier`, and the receivers that the dispatcher delivers events to."""
