"""The rules of the meter: pure functions and values; time is an argument, and nothing does I/O."""
