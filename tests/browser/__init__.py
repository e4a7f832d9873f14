"""A package, so that its tests share a browser and a gateway, which end with the last test."""
