"""Secrets: encryption with ENCRYPTION_KEY, and single-use tokens with their digests."""
