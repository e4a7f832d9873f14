"""Modules that `benchmarks.lambda_start` runs in fresh processes, and does not import."""
