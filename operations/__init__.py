"""Backup, restore, upgrade, transfer to another database, and the doctor.

One upgrade runs at a time, and no restore or transfer while a server runs.
"""
