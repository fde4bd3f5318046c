"""Decides who may sign in to an app: when a code is made, and each time a token is used."""

from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.access_policy import DenialReason
from accounts.models import User
from accounts.roles import Role
from applications.models import App


def entry_denial(app: App, user: User, *, has_second_factor: bool) -> DenialReason | None:
    """Why `user` may not sign in to `app` now, or None. Asks the access policy first.

    An unverified address is refused as at forward auth: apps join accounts by it.
    has_second_factor: see SessionAuthentication.
    """
    denial = access_policy.get_denial(user)
    if denial is not None:
        return denial
    if not user.is_verified:
        return DenialReason(
            "email_unverified", _("Verify your email address first, on your account page.")
        )
    if Role(user.role).rank < Role(app.openid_role).rank:
        return DenialReason(
            "forbidden",
            _("The app needs the role “%(role)s” or a higher one.")
            % {"role": app.get_openid_role_display()},
        )
    if app.openid_people and str(user.pk) not in app.openid_people:
        return DenialReason("not_named", _("Only people whom an owner has named may enter."))
    if app.openid_second_factor and not has_second_factor:
        return DenialReason(
            "second_factor_needed",
            _("The app needs a second factor. Set one up on your account page if you have none, "
              "sign out, and sign in with it."),
        )  # fmt: skip
    return None
