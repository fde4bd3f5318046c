"""Apps in the admin. Importing it registers the table and its sections."""

from applications.admin import apps, secrets

__all__ = ["apps", "secrets"]
