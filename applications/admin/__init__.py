"""Apps in the admin. Importing it registers the table and its sections."""

from applications.admin import apps, custom_scopes, secrets

__all__ = ["apps", "custom_scopes", "secrets"]
