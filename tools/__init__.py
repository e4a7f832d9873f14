"""What makes things that ship, and is not itself shipped."""
