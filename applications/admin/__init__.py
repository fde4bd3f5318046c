"""Apps in the admin. Importing it registers the table."""

from applications.admin import apps

__all__ = ["apps"]
