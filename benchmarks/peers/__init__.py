"""Other systems for the same work, measured in the same run: `make bench ARGS=peers`."""
