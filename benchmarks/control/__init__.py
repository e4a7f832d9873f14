"""Measurements of the control plane; each module returns one frozen dataclass of figures."""
