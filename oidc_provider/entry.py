"""Decides who may sign in to an app: when a code is made, and each time a token is used.

And as whom a program may act: when it gets a token, and each time that token is used.
"""

from collections.abc import Iterable
from datetime import datetime
from ipaddress import ip_network
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.access_policy import DenialReason
from accounts.group_names import is_id
from accounts.models import Membership, User
from accounts.roles import Role
from applications.models import SERVICE, App
from applications.opening_hours import open_until, spoken
from applications.services.apps import names_of_groups
from core.web.client_ip import is_in, parse_address


def entry_denial(
    app: App,
    user: User,
    *,
    has_second_factor: bool,
    ip: str,
    credential_at: datetime | None = None,
) -> DenialReason | None:
    """Why `user` may not sign in to `app` now, or None. Asks the access policy first.

    An unverified address is refused as at forward auth: apps join accounts by it.
    has_second_factor, ip: of the sign-in; see SessionAuthentication. credential_at: when that was
    made of which a token is used.
    """
    denial = access_policy.get_denial(user, credential_at=credential_at)
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
    now = timezone.now()
    return (
        _group_denial(app, user, now)
        or _person_denial(app, user)
        or _network_denial(app, ip)
        or _hours_denial(app, now)
        or _factor_denial(app, has_second_factor=has_second_factor)
    )


def closes_at(app: App, now: datetime) -> datetime | None:
    """When the hours of the app end next; None without hours."""
    return open_until(app.openid_hours, timezone.localtime(now, timezone.get_default_timezone()))


def _group_denial(app: App, user: User, now: datetime) -> DenialReason | None:
    if not app.openid_group_ids:
        return None
    keys = [UUID(key) for key in app.openid_group_ids if is_id(key)]
    rows = Membership.objects.filter(user=user, group_id__in=keys)
    if rows.current(now).exists():
        return None
    names = sorted(names_of_groups(app).values())
    if not names:
        return DenialReason(
            "group_missing", _("The app is for people in a group that does not exist any more.")
        )
    text = _("The app is for people in one of these groups: %(groups)s. You are in none of them.")
    return DenialReason("group_missing", text % {"groups": ", ".join(names)})


def _person_denial(app: App, user: User) -> DenialReason | None:
    if not app.openid_people or str(user.pk) in app.openid_people:
        return None
    return DenialReason("not_named", _("Only people whom an owner has named may enter."))


def _network_denial(app: App, ip: str) -> DenialReason | None:
    if not app.openid_networks or _is_inside(ip, app.openid_networks):
        return None
    text = _("The app opens only from certain networks, such as that of your office. You have come "
             "from %(address)s.")  # fmt: skip
    return DenialReason("network_refused", text % {"address": ip or "?"})


def _is_inside(ip: str, networks: Iterable[str]) -> bool:
    address = parse_address(ip)
    return address is not None and is_in(address, [ip_network(text) for text in networks])


def _hours_denial(app: App, now: datetime) -> DenialReason | None:
    if not app.openid_hours or closes_at(app, now) is not None:
        return None
    zone = timezone.get_default_timezone_name()
    text = _("The app is closed now. It is open: %(hours)s (%(zone)s).")
    return DenialReason("closed_now", text % {"hours": spoken(app.openid_hours), "zone": zone})


def _factor_denial(app: App, *, has_second_factor: bool) -> DenialReason | None:
    if not app.openid_second_factor or has_second_factor:
        return None
    return DenialReason(
        "second_factor_needed",
        _("The app needs a second factor. Set one up on your account page if you have none, "
          "sign out, and sign in with it."),
    )  # fmt: skip


def program_denial(
    app: App, user: User | None, *, credential_at: datetime | None = None
) -> DenialReason | None:
    """Why a program may not act as this service account now, or None.

    The access policy refuses a service account all but API keys, so this asks about the account,
    and about both times before which credentials are revoked. An account without a role is refused
    as at forward auth. credential_at: when the token was made.
    """
    is_its_own = user is not None and str(user.pk) == app.service_account
    if app.openid_kind != SERVICE or user is None or not user.is_service or not is_its_own:
        return DenialReason("forbidden", _("The app does not act as a service account."))
    denial = access_policy.account_denial(user)
    if denial is not None:
        return denial
    if Role(user.role) is Role.NONE:
        return DenialReason("forbidden", _("This service account has no role."))
    if credential_at is not None and credential_at < user.issue_time(credential_at):
        return DenialReason("token_invalid", _("The access of this token has been revoked."))
    return None
