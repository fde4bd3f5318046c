"""The server processes: how a raw request reaches the fast path or Django."""
