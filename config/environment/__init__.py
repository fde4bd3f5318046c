"""Declares every environment variable once; reads, checks and describes them.

Nothing here imports Django, so a wrong setting is reported before anything else starts.

schema and registry/ declare variables, parsing/ reads single values, cross_checks/ compares
several, diagnostics/ explains them to administrators, and load.py brings all of it together.
"""

from config.environment.actions import action_limits
from config.environment.cross_checks.anonymous import anonymous_role, anonymous_settings
from config.environment.cross_checks.external_jwt import bound_key_urls, external_public_key
from config.environment.errors import Problem, SettingsError
from config.environment.load import Environment, load
from config.environment.mailing import mail_settings
from config.environment.parsing.databases import database_settings
from mail.conf import MailSettings

__all__ = [
    "Environment",
    "MailSettings",
    "Problem",
    "SettingsError",
    "action_limits",
    "anonymous_role",
    "anonymous_settings",
    "bound_key_urls",
    "database_settings",
    "external_public_key",
    "load",
    "mail_settings",
]
