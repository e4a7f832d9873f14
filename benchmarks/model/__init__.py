"""Parts of benchmarks/model_server.py: the server under load, and Hugging Face beside it."""
