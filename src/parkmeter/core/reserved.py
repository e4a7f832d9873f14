"""Path segments that no endpoint may have as its `api_resource`. Pure."""

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
"""First segments of the gateway's own routes, with the stage."""
