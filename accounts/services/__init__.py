"""What accounts does: each function is one act with its rule, its writes and its audit row."""
