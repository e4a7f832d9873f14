"""Lambda handlers and adapters of the deployment on AWS."""
