"""The scenes, each a module with one function `measure`; in the order of the page of results."""

ALL = (
    "prompts",
    "streams",
    "v1",
    "fairness",
    "closes",
    "start",
    "command_line",
    "lambda_start",
    "model_server",
    "journal",
)
ON_REQUEST = ("compare",)
"""Run only when they are named."""
