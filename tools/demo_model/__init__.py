"""Builder of the tiny text-to-text model that parkmeter ships, trained on its own grammar only."""
