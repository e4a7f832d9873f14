"""The data plane: a client connection, an upstream connection, and the gate between them."""
