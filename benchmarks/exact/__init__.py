"""What `benchmarks.exactness` measures with: a gateway that takes notes, servers, load, clients."""
