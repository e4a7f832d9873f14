"""Builds the tiny text-to-text model that parkmeter ships, from nothing but its own grammar."""
