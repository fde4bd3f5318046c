"""The page of one user: the apps that they are signed in to, and whether they may enter others."""

from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.actors import Actor
from accounts.admin.columns import moment
from accounts.admin.users.row_actions import RowAction, add_row_action, row_button
from accounts.admin.users.sections import Content, Row, add_section
from accounts.models import User
from oidc_provider.services.access import AppAccess, access_of, end_app_access


def app_access(_request: HttpRequest, user: User) -> Content:
    """Live sign-ins and consent, used last first."""
    return Content(
        (_("App"), _("May know"), _("Since"), _("Last used")),
        [_row(one, user) for one in access_of(user)],
        empty=_("Signed in to no app."),
    )


def _row(one: AppAccess, user: User) -> Row:
    page = reverse("admin:applications_app_change", args=[one.app.pk])
    question = _("Sign %(name)s out of %(app)s? Its tokens stop working, and the app is told.")
    words = {"name": user.name or user.email, "app": one.app.name}
    return Row(
        (
            format_html('<a href="{}">{}</a>', page, one.app.name),
            ", ".join(one.scope),
            moment(one.since),
            moment(one.last_used, empty=_("not signed in")),
        ),
        row_button("end-app-access", user, one.app.pk, question % words),
    )


def _end(*, actor: Actor, user: User, key: UUID) -> None:
    end_app_access(actor=actor, user=user, app_id=key)


# As with devices: it takes access away, and never gives any.
add_row_action(
    "end-app-access",
    RowAction(
        _end,
        gettext_lazy("Sign out"),
        gettext_lazy("The person is signed out of the app."),
        is_sensitive=False,
    ),
)
add_section("app-access", gettext_lazy("Apps signed in to"), app_access)
