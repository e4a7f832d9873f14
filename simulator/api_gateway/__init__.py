"""A simulated API Gateway: the deployed REST API, served over HTTP on loopback."""
