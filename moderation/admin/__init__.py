"""Moderation in the admin. Importing it registers tables, actions and a dashboard part."""

from moderation.admin import bans, overview, people, violations

__all__ = ["bans", "overview", "people", "violations"]
