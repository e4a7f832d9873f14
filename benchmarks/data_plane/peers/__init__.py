"""The peers, each in a module of its own: where it comes from and its leanest configuration."""
