"""HTTP vocabulary of both deployments: problems, authentication, headers, routes; no framework."""
