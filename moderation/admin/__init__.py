"""Moderation in the admin. Importing it registers tables, actions and a dashboard part."""

from moderation.admin import bans, overview, user_actions, user_page, violations

__all__ = ["bans", "overview", "user_actions", "user_page", "violations"]
