"""Lambda handlers: thin, each one function of AWS to one use of the core."""
