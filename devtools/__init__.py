"""Tools for developers, shared by tests and benchmarks. The product imports nothing of it."""
