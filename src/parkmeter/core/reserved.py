"""First path segments of the gateway's own routes, which endpoints may not or cannot have. Pure."""

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
"""Refused as an endpoint's `api_resource`."""

RESERVED_LATER = frozenset({"audit", "login", "mcp", "oauth", "people", "usage", "v1", "wallets"})
"""Taken for routes when configurations could have used them already. An endpoint with one of them
goes on working, but only its prompts are reached, and by its name."""


def path_of_prompts(name: str, resource: str) -> str:
    """Return the path for the prompts of an endpoint, without the slash in front."""
    return f"endpoints/{name}/invocations" if resource in RESERVED_LATER else resource
