"""What `benchmarks.lambda_start` runs in fresh processes; nothing here is imported by it."""
