"""OpenID Connect on the pages of apps and people. Importing it registers the sections."""

from oidc_provider.admin import apps, user_page

__all__ = ["apps", "user_page"]
