"""What each operation costs as rows grow: `make bench ARGS=growth`."""
