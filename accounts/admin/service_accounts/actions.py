"""The buttons on the page of a service account."""

from functools import partial

from django.utils.translation import gettext_lazy

from accounts.admin.users.actions import USER_ACTIONS, UserAction
from accounts.services import users

# Name in the URL -> action. There is no bulk action: each account is a program that would stop.
SERVICE_ACTIONS: dict[str, UserAction] = {
    "disable": UserAction(
        partial(users.disable_user, reason="admin panel"),
        gettext_lazy("Disable"),
        "",
        gettext_lazy("Disabled: its keys have ended."),
        gettext_lazy("Disable %(name)s? Its keys end for good, and programs that use them stop."),
        "",
        USER_ACTIONS["disable"].refusals,
        "access",
        lambda user: user.is_active,
    ),
    "enable": UserAction(
        users.enable_user,
        gettext_lazy("Enable"),
        "",
        gettext_lazy("Enabled. Create a new key for it."),
        gettext_lazy("Enable %(name)s? Its old keys stay ended: create a new one afterwards."),
        "",
        USER_ACTIONS["enable"].refusals,
        "access",
        lambda user: not user.is_active,
    ),
}
