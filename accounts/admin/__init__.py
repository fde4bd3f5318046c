"""The admin. Importing it registers the tables of accounts on accounts.admin.site.site."""

from accounts.admin import invitations, read_only, users

__all__ = ["invitations", "read_only", "users"]
