"""The tables of accounts, one module for each kind."""

from accounts.models.links import AccountToken, AddressRequest, Invitation
from accounts.models.sessions import BrowserSession
from accounts.models.users import ROLE_LABELS, User, UserManager, UserQuerySet, login_column

__all__ = [
    "ROLE_LABELS",
    "AccountToken",
    "AddressRequest",
    "BrowserSession",
    "Invitation",
    "User",
    "UserManager",
    "UserQuerySet",
    "login_column",
]
