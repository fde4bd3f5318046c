"""OpenID Connect on the pages of apps and people. Importing it registers the sections."""

from oidc_provider.admin import apps, registration_tokens, user_page

__all__ = ["apps", "registration_tokens", "user_page"]
