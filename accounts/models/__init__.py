"""The tables of accounts, one module for each kind."""

from accounts.models.forms import SentForm
from accounts.models.links import AccountToken, EmailRequest, Invitation
from accounts.models.sessions import BrowserSession
from accounts.models.users import ROLE_LABELS, User, UserManager, UserQuerySet, login_column

__all__ = [
    "ROLE_LABELS",
    "AccountToken",
    "BrowserSession",
    "EmailRequest",
    "Invitation",
    "SentForm",
    "User",
    "UserManager",
    "UserQuerySet",
    "login_column",
]
