"""The models of accounts, one module for each entity."""

from accounts.models.account_tokens import AccountToken
from accounts.models.approval_requests import ApprovalRequest
from accounts.models.email_requests import EmailRequest
from accounts.models.end_reminders import EndReminder
from accounts.models.groups import DeletedGroup, Group, Membership
from accounts.models.invitations import Invitation
from accounts.models.profile_changes import ProfileChange
from accounts.models.saved_views import SavedView
from accounts.models.sent_forms import SentForm
from accounts.models.service_accounts import ServiceAccount
from accounts.models.sessions import BrowserSession
from accounts.models.users import (
    ROLE_LABELS,
    Kind,
    User,
    UserManager,
    UserQuerySet,
    login_column,
)

__all__ = [
    "ROLE_LABELS",
    "AccountToken",
    "ApprovalRequest",
    "BrowserSession",
    "DeletedGroup",
    "EmailRequest",
    "EndReminder",
    "Group",
    "Invitation",
    "Kind",
    "Membership",
    "ProfileChange",
    "SavedView",
    "SentForm",
    "ServiceAccount",
    "User",
    "UserManager",
    "UserQuerySet",
    "login_column",
]
