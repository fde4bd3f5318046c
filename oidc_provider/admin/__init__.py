"""OpenID Connect on the pages of apps. Importing it registers the sections."""

from oidc_provider.admin import apps

__all__ = ["apps"]
