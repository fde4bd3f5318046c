"""The admin panel. Importing it registers the tables of accounts on accounts.admin.site.site."""

from accounts.admin import facts, invitations, users

__all__ = ["facts", "invitations", "users"]
