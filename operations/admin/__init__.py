"""Operations in the admin. Importing it registers pages and a part of the overview."""

from operations.admin import health, overview, providers, settings_page

__all__ = ["health", "overview", "providers", "settings_page"]
