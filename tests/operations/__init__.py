"""Transfers, backups, restores, upgrades."""
