"""How fast and how small the server is; `make bench` prints one table. See docs/benchmarks.md."""
