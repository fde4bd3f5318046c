"""Preparation of the data at each start and upgrade, and the dry run of an upgrade."""
