"""Use cases: the only code that coordinates the ports."""
