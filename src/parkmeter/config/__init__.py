"""Configuration: parkmeter.toml and the environment become validated settings."""
