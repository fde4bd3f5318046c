"""The admin panel. Importing it registers the tables of accounts on accounts.admin.site.site."""

from accounts.admin import facts, users

__all__ = ["facts", "users"]
