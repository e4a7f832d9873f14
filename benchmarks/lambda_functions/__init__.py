"""Modules that `scenes/lambda_start.py` runs in fresh processes, and does not import."""
