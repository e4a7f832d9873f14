"""Tools of `benchmarks.exactness`: a gateway that takes notes, servers, load, clients."""
