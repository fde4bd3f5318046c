"""Forward auth in the admin. Importing it registers the tables and the dashboard part."""

from forward_auth.admin import apps, denials, overview, rules, user_page

__all__ = ["apps", "denials", "overview", "rules", "user_page"]
