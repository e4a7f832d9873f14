"""The gateway's way through the data plane, side by side with others that forward requests."""
