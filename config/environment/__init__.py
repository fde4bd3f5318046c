"""The declaration room: every setting is declared here once, read, checked and described.

Nothing here imports Django, so that a wrong setting is reported before anything else starts.
"""

from config.environment.actions import action_limits
from config.environment.anonymous import anonymous_role, opening_settings
from config.environment.databases import database_settings
from config.environment.errors import Problem, SettingsError
from config.environment.external_jwt import bound_key_urls, foreign_public_key
from config.environment.load import Environment, load
from config.environment.mailing import mail_settings
from mail.conf import MailSettings

__all__ = [
    "Environment",
    "MailSettings",
    "Problem",
    "SettingsError",
    "action_limits",
    "anonymous_role",
    "bound_key_urls",
    "database_settings",
    "foreign_public_key",
    "load",
    "mail_settings",
    "opening_settings",
]
