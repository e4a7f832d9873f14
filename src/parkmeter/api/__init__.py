"""Control routes as a FastAPI application, and the dashboard's files."""
