"""Development tools: they write and check what the project ships, and are not shipped."""
