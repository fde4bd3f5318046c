"""The admin panel. Importing it registers the tables of accounts on accounts.admin.site.site."""

from accounts.admin import users

__all__ = ["users"]
