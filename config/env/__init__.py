"""The declaration room: every setting is declared here once, read, checked and described.

Nothing here imports Django, so that a wrong setting is reported before anything else starts.
"""

from config.env.actions import action_limits
from config.env.anonymous import anonymous_role, opening_settings
from config.env.databases import database_settings
from config.env.foreign import bound_key_urls, foreign_public_key
from config.env.load import Environment, load
from config.env.mailing import MailSettings, mail_settings
from config.env.problems import Problem, SettingsError

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
