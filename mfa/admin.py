"""Second factors in the admin: sections of the page of one user, a column of the user list."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib.admin import ModelAdmin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from accounts.admin.actions import CONFIRMED, PageAction, user_action
from accounts.admin.base import acting_admin
from accounts.admin.bulk_actions import MAX_ROWS
from accounts.admin.columns import NOTHING, moment
from accounts.admin.users.actions import chosen_users, report, run_on_users
from accounts.admin.users.list_columns import ListColumn, user_list_column
from accounts.admin.users.preview import Question, ask, by_rank, unless
from accounts.admin.users.row_actions import RowAction, add_row_action, row_button
from accounts.admin.users.sections import Content, Row, add_section, newest
from accounts.models import User
from accounts.services.second_factors import remaining_codes
from accounts.sessions.link_binding import device_name
from mfa.models import Authenticator, TrustedBrowser
from mfa.trusted_browsers import browsers_of, forget, forget_all


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
        [_browser_row(row, user) for row in rows],
        empty=_("None."),
        note=_("These are not asked for the second factor.") if rows else "",
    )


def _browser_row(row: TrustedBrowser, user: User) -> Row:
    name = device_name(row.user_agent)
    question = _(
        "Forget %(device)s? At the next sign-in there %(name)s is asked for the second factor "
        "again."
    ) % {"device": name, "name": user.name or user.email}
    button = row_button("forget-browser", user, row.pk, question)
    return Row((name, moment(row.created_at), moment(row.expires_at)), button)


def _forget(*, actor: User, user: User, key: UUID) -> None:
    forget(actor=actor, user=user, browser_id=key)


# They take a trust away that the user gives again at the next sign-in.
add_row_action(
    "forget-browser",
    RowAction(
        _forget,
        gettext_lazy("Forget"),
        gettext_lazy("The browser is asked for the second factor again."),
        is_sensitive=False,
    ),
)
_FORGET_ALL = gettext_lazy("Forget trusted browsers")


@user_action(
    description=_FORGET_ALL,
    is_sensitive=False,
    on_page=PageAction(
        "sessions",
        _FORGET_ALL,
        gettext_lazy(
            "Forget every trusted browser of %(name)s? At the next sign-in each is asked for the "
            "second factor again. Devices stay signed in."
        ),
        lambda user: browsers_of(user).exists(),
    ),
)
def forget_browsers_of_people(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, queryset: "QuerySet[User]"
) -> HttpResponse | None:
    """Forget the trusted browsers of users, after a page that says whom it leaves out."""
    users = chosen_users(request, queryset, MAX_ROWS)
    if users is None:
        return None
    actor = acting_admin(request)
    if CONFIRMED not in request.POST:
        none = gettext_lazy("They have no trusted browser.")
        rules = [
            by_rank(actor, may_be_self=True),
            unless(lambda user: browsers_of(user).exists(), none),
        ]
        return ask(modeladmin, request, users, rules, _QUESTION)
    report(request, run_on_users(actor, users, forget_all))
    return None


_QUESTION = Question(
    _FORGET_ALL,
    ngettext_lazy(
        "Forget every trusted browser of this person? At the next sign-in each is asked for the "
        "second factor again. Devices stay signed in.",
        "Forget every trusted browser of these %(count)d people? At the next sign-in each is asked "
        "for the second factor again. Devices stay signed in.",
        "count",
    ),
    gettext_lazy("Forget"),
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
