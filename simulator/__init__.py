"""A simulated AWS account on loopback, as far as parkmeter's stacks use one; see README.md."""
