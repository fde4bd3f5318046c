"""Second factors in the admin: sections of the page of one user, a column of the user list."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.admin.columns import NOTHING, moment
from accounts.admin.users.list_columns import ListColumn, user_list_column
from accounts.admin.users.sections import Content, Row, add_section, newest
from accounts.models import User
from accounts.services.second_factors import remaining_codes
from accounts.sessions.link_binding import device_name
from mfa.models import Authenticator
from mfa.trusted_browsers import browsers_of


def factors(_request: HttpRequest, user: User) -> Content:
    """Authenticator app and passkeys, never a secret."""
    rows = newest(user.authenticators.defer("sealed_secret", "credential").order_by("id"))
    left = remaining_codes(user).left
    codes = ngettext(
        "%(left)d recovery code is left.", "%(left)d recovery codes are left.", left
    ) % {"left": left}
    return Content(
        (_("Kind"), _("Name"), _("Added"), _("Last used")),
        [
            Row(
                (
                    row.get_kind_display(),
                    row.name,
                    moment(row.created_at),
                    moment(row.last_used_at, empty=_("never")),
                )
            )
            for row in rows
        ],
        empty=_("None set up."),
        note=codes if rows else "",
    )


def browsers(_request: HttpRequest, user: User) -> Content:
    """Browsers that are not asked for the second factor. Signing out everywhere ends the trust."""
    rows = newest(browsers_of(user))
    return Content(
        (_("Browser"), _("Trusted since"), _("Ends")),
        [
            Row((device_name(row.user_agent), moment(row.created_at), moment(row.expires_at)))
            for row in rows
        ],
        empty=_("None."),
        note=_("These are not asked for the second factor. Sign out everywhere ends that.")
        if rows
        else "",
    )


add_section("factors", gettext_lazy("Second factors and passkeys"), factors)
add_section("browsers", gettext_lazy("Trusted browsers"), browsers)


Kind = Authenticator.Kind


def _annotations() -> Mapping[str, Exists]:
    return {f"has_{kind.value}": _has(kind) for kind in Kind}


def _has(kind: Kind) -> Exists:
    return Exists(Authenticator.objects.filter(user=OuterRef("pk"), kind=kind))


def _shown(user: Any) -> str:
    labels = {Kind.TOTP: _("app"), Kind.PASSKEY: _("passkey")}
    found = [labels[kind] for kind in Kind if getattr(user, f"has_{kind.value}", False)]
    return ", ".join(found) or NOTHING


user_list_column("factors", ListColumn(gettext_lazy("second factors"), _annotations, _shown))
