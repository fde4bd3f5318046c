"""The tables of accounts, one module for each kind."""

from accounts.models.doors import Authenticator, Identity, RecoveryCode, RememberedBrowser
from accounts.models.facts import AuditEvent, HouseLock, OutboxMail
from accounts.models.forms import SentForm
from accounts.models.links import AccountToken, AddressRequest, Invitation
from accounts.models.people import ROLE_LABELS, User, UserManager, UserQuerySet, login_column
from accounts.models.sessions import BrowserSession

__all__ = [
    "ROLE_LABELS",
    "AccountToken",
    "AddressRequest",
    "AuditEvent",
    "Authenticator",
    "BrowserSession",
    "HouseLock",
    "Identity",
    "Invitation",
    "OutboxMail",
    "RecoveryCode",
    "RememberedBrowser",
    "SentForm",
    "User",
    "UserManager",
    "UserQuerySet",
    "login_column",
]
