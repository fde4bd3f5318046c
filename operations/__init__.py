"""Moving house: other databases, backups, restores, upgrades and their rehearsal.

One upgrade at a time, nothing under a running server, nothing lost without a word.
"""
