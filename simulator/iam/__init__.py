"""A simulated IAM: every call of a role is held against the policies of its deployed stacks."""
