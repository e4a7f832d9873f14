"""`parkmeter doctor --aws`: a read-only check of one deployment and of what it may have left."""
