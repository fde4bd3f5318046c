"""The REST API of apps."""
