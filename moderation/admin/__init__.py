"""Moderation in the panel. Importing it registers tables, actions and the dashboard's part."""

from moderation.admin import bans, overview, people, violations

__all__ = ["bans", "overview", "people", "violations"]
