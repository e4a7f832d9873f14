"""Names of endpoints: their form, and the paths that the gateway's own routes have. Pure."""

ENDPOINT_NAME = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
"""SageMaker's rule for endpoint names, so that a configuration can move there."""

RESERVED = frozenset(
    {
        "assets",
        "docs",
        "endpoint-expiry",
        "endpoints",
        "events",
        "extend",
        "favicon.ico",
        "health",
        "metrics",
        "openapi.json",
        "prod",
        "tokens",
        "whoami",
    }
)
"""First path segments of routes: refused as an endpoint's `api_resource`."""

RESERVED_LATER = frozenset({"audit", "login", "mcp", "oauth", "people", "usage", "v1", "wallets"})
"""Taken for routes when configurations could have used them already. An endpoint with one of them
goes on working, but only its prompts are reached, and by its name."""


def path_of_prompts(name: str, resource: str) -> str:
    """Return the path for the prompts of an endpoint, without the slash in front."""
    return f"endpoints/{name}/invocations" if resource in RESERVED_LATER else resource
