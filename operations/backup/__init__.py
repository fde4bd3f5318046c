"""Backup of a running instance, restore, and the revocation that follows a restore."""
