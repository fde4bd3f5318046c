"""Clients of other systems become apps: what is read, and one service that applies it."""
