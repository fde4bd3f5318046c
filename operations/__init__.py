"""Backup, restore, upgrade, transfer to another database, and the doctor.

The upgrade lock allows one upgrade, restore or transfer at a time (locks.py). A restore and a
transfer refuse to run while a server runs.
"""
