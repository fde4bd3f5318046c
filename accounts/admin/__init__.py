"""The admin. Importing it registers the tables of accounts on accounts.admin.site.site."""

from accounts.admin import approvals, branding, groups, invitations, read_only
from accounts.admin.service_accounts import model_admin as service_accounts
from accounts.admin.users import model_admin

__all__ = [
    "approvals",
    "branding",
    "groups",
    "invitations",
    "model_admin",
    "read_only",
    "service_accounts",
]
