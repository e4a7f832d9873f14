"""What benchmarks/model_server.py is made of: the server under load, and Hugging Face beside it."""
