"""`parkmeter doctor`: a read-only check of all that a local gateway depends on."""
