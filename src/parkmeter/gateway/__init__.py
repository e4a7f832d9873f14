"""The local gateway process: server, wiring, clock, reload and metrics."""
