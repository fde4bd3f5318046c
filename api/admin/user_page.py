"""The sections "API keys" and "Programs" of the page of one user."""

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.columns import badge, moment, network_cell, used_cell, with_detail
from accounts.admin.users.sections import Button, Content, Row, add_section, found_in, newest
from accounts.models import User
from accounts.sessions.link_binding import device_name
from api.admin.keys import STATES, listed
from api.apikeys.services import state_of
from api.models import ApiKey, TokenFamily


def keys(_request: HttpRequest, user: User) -> Content:
    """The newest keys of the user, those that have ended too."""
    rows = user.api_keys.defer("digest").select_related("user").order_by("-created_at")
    return Content(
        (_("Name"), _("State"), _("Scopes"), _("Last used"), _("Expires")),
        [_key_row(row, user) for row in newest(rows)],
        more=found_in("api_apikey", user.email),
        empty=_("None."),
        template="admin/api/_new_key.html" if user.is_service else "",
        context={"url": _new_key_url(user)} if user.is_service else {},
    )


def _new_key_url(user: User) -> str:
    return reverse("admin:accounts_serviceaccount_new-key", args=[user.pk])


def _key_row(key: ApiKey, user: User) -> Row:
    state = state_of(key, timezone.now())
    page = reverse("admin:api_apikey_change", args=[key.pk])
    name = with_detail(format_html('<a href="{}">{}</a>', page, key.name), str(key))
    end = moment(key.expires_at, empty=_("never"))
    cells = name, badge(*STATES[state]), listed(key.scopes), _use_of(key), end
    if state != "live":
        return Row(cells)
    question = _("Revoke the key “%(key)s” of %(name)s? Scripts that use it stop working.")
    button = Button(
        reverse("admin:api_apikey_changelist"),
        "revoke_chosen",
        key.pk,
        _("Revoke"),
        question % {"key": key.name, "name": user.name or user.email},
    )
    return Row(cells, button)


def _use_of(key: ApiKey) -> str | SafeString:
    if key.last_used_at is None:
        return _("never")
    return used_cell(key.last_used_at, key.last_used_ip)


def programs(_request: HttpRequest, user: User) -> Content:
    """Programs that are signed in, last refreshed first."""
    live = user.token_families.filter(
        ended_at=None,
        expires_at__gt=timezone.now(),
        created_at__gte=user.credentials_valid_from,
    )
    return Content(
        (_("Program"), _("Network address"), _("Signed in"), _("Last refreshed"), _("Ends")),
        [_program_row(row, user) for row in newest(live.defer("seed").order_by("-id"))],
        more=found_in("api_tokenfamily", user.email),
        empty=_("No program is signed in with tokens."),
    )


def _program_row(row: TokenFamily, user: User) -> Row:
    name = device_name(row.user_agent)
    question = _("Sign %(name)s out of %(program)s? Its tokens stop working.")
    button = Button(
        reverse("admin:api_tokenfamily_changelist"),
        "end_programs",
        str(row.pk),
        _("Sign out"),
        question % {"name": user.name or user.email, "program": name},
    )
    times = moment(row.created_at), moment(row.rotated_at), moment(row.expires_at)
    return Row((name, network_cell(row.ip), *times), button)


add_section("keys", gettext_lazy("API keys"), keys)
add_section("programs", gettext_lazy("Programs"), programs)
