"""Moves, backups, restores, upgrades."""
