"""The tables of accounts, one module for each kind."""

from accounts.models.links import AccountToken, AddressRequest, Invitation
from accounts.models.people import ROLE_LABELS, User, UserManager, UserQuerySet, login_column
from accounts.models.sessions import BrowserSession

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
