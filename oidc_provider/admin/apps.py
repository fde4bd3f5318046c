"""What an owner pastes into an app, and what the app learns: sections of the page of an app."""

import json
from typing import Any

from django.conf import settings
from django.db.models import Max
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin.columns import NOTHING, badge, moment, user_link
from accounts.admin.users.sections import Content, Row
from accounts.models import User
from applications.admin.sections import add_section
from applications.models import SERVICE, App
from core.web.client_ip import client_ip
from oidc_provider import scopes
from oidc_provider.claims import claims_of
from oidc_provider.entry import entry_denial
from oidc_provider.models import LogoutNotice, Registration
from oidc_provider.services.logout_notices import notices_of
from oidc_provider.signing import algorithm_of, is_available
from oidc_provider.views.metadata import url_of

Status = LogoutNotice.Status
OFF = _("The app does not sign people in by OpenID Connect. Choose its kind below to start.")
NOT_TOLD = _(
    "The app is not told when somebody signs out here. If it takes logout tokens (back-channel "
    "logout), enter its address below."
)
MAX_NOTICES = 10
# Of the query: whose claims are shown.
PERSON = "person"
UNAVAILABLE = _("This server cannot sign people in to apps, because JWT_SECRET is set.")


def setup(_request: HttpRequest, app: App) -> Content:
    """The fields that apps ask for, with the values of this one."""
    if not app.is_openid_client:
        return Content(empty=OFF)
    if not is_available():
        return Content(empty=UNAVAILABLE)
    if app.openid_kind == SERVICE:
        return _program(app)
    well_known = f"{settings.PUBLIC_URL}/.well-known/openid-configuration"
    values: list[tuple[Any, Any]] = [
        (_("Issuer"), settings.PUBLIC_URL),
        (_("Discovery"), well_known),
        (_("Client id"), app.client_id),
        (_("Scopes"), " ".join((*scopes.NAMES, *app.custom_scopes))),
        (_("Authorization endpoint"), url_of("authorize")),
        (_("Token endpoint"), url_of("token")),
        (_("Userinfo endpoint"), url_of("userinfo")),
        (_("Logout endpoint"), url_of("end-session")),
        (_("Signature of ID tokens"), algorithm_of(app)),
    ]
    return _fields(app, values)


def _program(app: App) -> Content:
    """What a program needs: it asks for a token, and sends it to whoever asks about it here."""
    account = User.objects.filter(pk=app.service_account).first()
    name = account.username if account is not None else _("an account that is gone")
    values = [
        (_("Token endpoint"), url_of("token")),
        (_("Grant type"), "client_credentials"),
        (_("Client id"), app.client_id),
        (_("Scopes"), " ".join((*scopes.OF_PROGRAMS, *app.custom_scopes))),
        (_("Acts as"), name),
    ]
    return _fields(app, values)


def _fields(app: App, values: list[tuple[Any, Any]]) -> Content:
    rows = [Row((name, format_html("<code>{}</code>", value))) for name, value in values]
    last = app.grants.aggregate(last=Max("refreshed_at"))["last"]
    rows.append(Row((_("Last use"), moment(last) if last else _("never"))))
    return Content((_("Field of the app"), _("Value")), rows, note=_registration_note(app))


def _registration_note(app: App) -> str:
    found = Registration.objects.filter(app=app).first()
    if found is None:
        return ""
    text = gettext(
        "The app has registered itself, with the token “%(name)s”. No owner has made it."
    )
    return text % {"name": found.token_name}


def preview(request: HttpRequest, app: App) -> Content | None:
    """The claims that the app would get about a person, and whether they may sign in to it."""
    if not app.signs_people_in or not isinstance(request.user, User):
        return None
    typed = request.GET.get(PERSON, "").strip()[:254]
    found = User.objects.with_login(typed).first() if typed else request.user
    person = found or request.user
    named = {claim: scope.name for scope in scopes.SCOPES for claim in scope.claims}
    rows = [
        Row(
            (
                format_html("<code>{}</code>", name),
                named[name],
                format_html("<code>{}</code>", json.dumps(value, ensure_ascii=False)),
            )
        )
        for name, value in claims_of(app, person, scopes.NAMES).items()
    ]
    context = {"name": PERSON, "typed": typed, "is_unknown": found is None}
    return Content(
        (_("Claim"), _("Scope"), _("Value")),
        rows,
        note=_entry_note(request, app, person),
        template="admin/applications/app/claims_of_person.html",
        context=context,
    )


def _entry_note(request: HttpRequest, app: App, person: User) -> str:
    """Whose values these are, and whether they may sign in."""
    who = {"name": person.get_full_name() or person.email, "email": person.email}
    denial = entry_denial(app, person, has_second_factor=True, ip=client_ip(request))
    if denial is None:
        text = gettext(
            "%(name)s (%(email)s) may sign in now, from your network and with a second factor."
        )
        return text % who
    text = gettext("%(name)s (%(email)s) may not sign in, and reads: “%(reason)s”")
    return text % (who | {"reason": denial.message})


def notices(_request: HttpRequest, app: App) -> Content | None:
    """What the app was told of sign-outs, newest first."""
    if not app.signs_people_in:
        return None
    if not app.backchannel_logout_uri:
        return Content(empty=NOT_TOLD)
    tones = {Status.DELIVERED: "good", Status.FAILED: "bad"}
    found = notices_of(app, MAX_NOTICES)
    users = User.objects.in_bulk([row.user_id for row in found])
    rows = [
        Row(
            (
                moment(row.created_at),
                user_link(row.user_id, users[row.user_id].email)
                if row.user_id in users
                else _("a deleted account"),
                badge(tones.get(Status(row.status), "plain"), row.get_status_display()),
                row.last_error or NOTHING,
                row.attempts,
            )
        )
        for row in found
    ]
    columns = (_("When"), _("Person"), _("State"), _("Last error"), _("Attempts"))
    return Content(columns, rows, empty=_("Nobody has signed out yet."))


add_section("openid", _("OpenID Connect"), setup)
add_section("claims", _("What the app learns about a person"), preview)
add_section("sign-outs", _("Told of sign-outs"), notices)
