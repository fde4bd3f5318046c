"""/account/keys: pages for the user's own API keys and signed-in programs."""

import uuid
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts.forms import GatehouseForm, is_valid_with
from accounts.models import User
from accounts.sent_forms import once, show_once
from accounts.sessions.link_binding import device_name
from accounts.sessions.reauthentication import require_recent_authentication_to_post
from accounts.views.common import (
    bound_data,
    current_user,
    form_page,
    get_or_post,
    redirect_with_notice,
    replayable,
    show_service_errors,
)
from api.apikeys import services
from api.models import ApiKey, TokenFamily
from api.permissions import Scope
from api.tokens import refresh_tokens
from core.errors import GatehouseError, NotFound, RecordInvalid
from core.web.single_values import may_repeat

SCOPE_TEXTS = {
    Scope.READ: _("Read your account and your own lists"),
    Scope.WRITE: _("Make changes in the apps behind Gatehouse"),
    Scope.USERS: _("Manage people, invitations and your own keys"),
    Scope.MODERATION: _("See violations, ban and lift bans"),
    Scope.SERVICE: _("Count actions and report violations as an app"),
    Scope.SCIM: _("Create, change and disable accounts as an identity system (SCIM)"),
}
# What a page says about the scopes of another account.
OTHER_SCOPE_TEXTS = {
    Scope.READ: _("Read in the apps and in the API"),
    Scope.USERS: _("Manage people, invitations and its own keys"),
}
LIFETIME_DAYS = (7, 30, 90, 365)
DATE, NEVER = "date", "never"
OVERLAPS = ((0, _("End it now")), (1, _("1 hour")), (24, _("1 day")), (168, _("7 days")))


class NewKeyForm(GatehouseForm):
    """Name, scopes, expiry and networks of a new key."""

    name = forms.CharField(
        label=_("Name"),
        max_length=services.NAME_MAX_LENGTH,
        help_text=_("What uses it, for example “backup script”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(
        label=_("It may"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one.")},
    )
    life = forms.ChoiceField(label=_("It ends"))
    date = forms.DateField(
        label=_("Last day"),
        required=False,
        help_text=_("Only for “on a date”."),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    networks = forms.CharField(
        label=_("Only from these networks"),
        required=False,
        max_length=services.NETWORKS_MAX * (services.NETWORK_MAX_LENGTH + 2),
        help_text=_("One on a line, such as 203.0.113.0/24 or 2001:db8::/32. Empty: everywhere."),
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocomplete": "off"}),
    )

    def __init__(self, *args: Any, user: User, **options: Any) -> None:
        super().__init__(*args, **options)
        possible = services.scopes_for(user)
        choices = [(scope.value, text) for scope, text in SCOPE_TEXTS.items() if scope in possible]
        scopes, life = self.fields["scopes"], self.fields["life"]
        scopes.choices, scopes.initial = choices, [Scope.READ.value]  # type: ignore[attr-defined]
        life.choices, life.initial = _lifetime_choices(), _default_lifetime()  # type: ignore[attr-defined]

    def speak_of_another_account(self) -> None:
        """Describe the scopes as those of an account that is not the reader's."""
        field: Any = self.fields["scopes"]
        field.choices = [
            (scope, OTHER_SCOPE_TEXTS.get(scope, text)) for scope, text in field.choices
        ]

    def clean_date(self) -> Any:
        """Require a date if “on a date” is chosen."""
        day = self.cleaned_data.get("date")
        if self.cleaned_data.get("life") == DATE and day is None:
            raise ValidationError(_("Choose the last day."))
        return day

    def key_request(self) -> services.KeyRequest:
        """Return the key request of the valid form."""
        return self.key_request_from(self.cleaned_data)

    def key_request_from(self, typed: dict[str, Any]) -> services.KeyRequest:
        """Return the key request of these field values."""
        return services.KeyRequest(
            name=typed["name"],
            scopes=typed["scopes"],
            expires_at=self._end(typed),
            is_endless=typed["life"] == NEVER,
            networks=typed["networks"].replace(",", " ").split(),
        )

    def _end(self, typed: dict[str, Any]) -> datetime | None:
        life = typed["life"]
        if life == NEVER:
            return None
        if life == DATE:
            day: date = typed["date"]
            return datetime.combine(day, time(23, 59, 59), timezone.get_current_timezone())
        return timezone.now() + timedelta(days=int(life))

    def add_service_errors(self, error: GatehouseError) -> None:
        super().add_service_errors(
            self.with_form_fields(error) if isinstance(error, RecordInvalid) else error
        )

    def with_form_fields(self, error: RecordInvalid) -> RecordInvalid:
        """Map errors of `expires_at` to the field that was used."""
        field = "date" if self.cleaned_data.get("life") == DATE else "life"
        return RecordInvalid({field if name == "expires_at" else name: texts
                              for name, texts in error.errors.items()})  # fmt: skip


class RotateForm(GatehouseForm):
    """How long the old key keeps working."""

    overlap = forms.TypedChoiceField(
        label=_("The old key works for another"), choices=OVERLAPS, coerce=int, initial=24
    )


@login_required
@require_recent_authentication_to_post
@once("apikeys:list")
@get_or_post
@may_repeat("scopes")
def own_keys(request: HttpRequest) -> HttpResponse:
    """List keys and programs, with a form for a new key. POST shows the new key once."""
    user = current_user(request)
    form = NewKeyForm(bound_data(request), user=user)
    if is_valid_with(form, lambda typed: check_new_key(user, form, typed)):
        with show_service_errors(form):
            return _render_new_key(
                request, services.create_key(actor=user, user=user, key_request=form.key_request())
            )
    now = timezone.now()
    context = {
        "keys": [key_row(key, now) for key in services.own_keys(user)],
        "programs": [_program(family) for family in refresh_tokens.own_families(user)],
        "notice": request.GET.get("notice", ""),
        "now": now,
    }
    return form_page(request, "api/keys.html", form, **context)


@login_required
@require_recent_authentication_to_post
@once("apikeys:list")
@get_or_post
def rotate(request: HttpRequest, key_id: str) -> HttpResponse:
    """Ask for the overlap; POST rotates the key and shows the new one once."""
    user = current_user(request)
    key = _live_key(user, key_id)
    form = RotateForm(bound_data(request))
    if form.is_valid():
        overlap = timedelta(hours=form.cleaned_data["overlap"])
        with show_service_errors(form):
            return _render_new_key(
                request, services.rotate_key(actor=user, key=key, overlap=overlap), key
            )
    return form_page(request, "api/key_rotate.html", form, key=key)


@login_required
@replayable
@get_or_post
def revoke(request: HttpRequest, key_id: str) -> HttpResponse:
    """Ask for confirmation; POST revokes the key."""
    user = current_user(request)
    key = services.own_key(user, key_id)
    if request.method != "POST":
        return render(request, "api/key_revoke.html", {"key": key})
    services.revoke_key(actor=user, key=key)
    return redirect_with_notice("apikeys:list", "key-revoked")


@login_required
@replayable
@require_POST
def end_program(request: HttpRequest, family_id: uuid.UUID) -> HttpResponse:
    """Sign out a program that signed in with tokens."""
    user = current_user(request)
    refresh_tokens.end_family(actor=user, user=user, family_id=family_id)
    return redirect_with_notice("apikeys:list", "program-ended")


def check_new_key(user: User, form: NewKeyForm, typed: dict[str, Any]) -> None:
    """Raise RecordInvalid with the errors of the service, also when the form has its own."""
    readable = {"name": "", "scopes": [], "networks": "", "life": NEVER, "date": None} | typed
    if readable["life"] == DATE and readable["date"] is None:
        readable["life"] = NEVER
    try:
        services.check_key_request(form.key_request_from(readable), user, None)
    except RecordInvalid as error:
        raise form.with_form_fields(error) from None


def _render_new_key(
    request: HttpRequest, issued: services.IssuedKey, old: ApiKey | None = None
) -> HttpResponse:
    """Render the only page that contains the key."""
    if old is not None:
        old.refresh_from_db()
    context = {"key": issued.key, "text": issued.text, "old": old, "now": timezone.now()}
    return show_once(render(request, "api/key_made.html", context))


def _live_key(user: User, key_id: str) -> ApiKey:
    """Return a live key. Raises NotFound."""
    key = services.own_key(user, key_id)
    if services.state_of(key, timezone.now()) != "live":
        raise NotFound
    return key


def key_row(key: ApiKey, now: datetime) -> dict[str, Any]:
    """A key as the pages list it."""
    return {"key": key, "state": services.state_of(key, now), "shown": str(key)}


def _program(family: TokenFamily) -> dict[str, Any]:
    return {"family": family, "device": device_name(family.user_agent)}


def _lifetime_choices() -> list[tuple[str, Any]]:
    """Return the choices of the lifetime, within API_KEY_MAX_AGE."""
    longest = settings.API_KEY_MAX_AGE
    days = [number for number in LIFETIME_DAYS if not longest or timedelta(days=number) <= longest]
    choices: list[tuple[str, Any]] = [
        (str(number), _("in %(number)d days") % {"number": number}) for number in days
    ]
    choices.append((DATE, _("on a date")))
    return choices if longest else [*choices, (NEVER, _("never"))]


def _default_lifetime() -> str:
    """Return the longest choice within API_KEY_DEFAULT_AGE."""
    usual = [
        number for number in LIFETIME_DAYS if timedelta(days=number) <= settings.API_KEY_DEFAULT_AGE
    ]
    offered = {value for value, _text in _lifetime_choices()}
    return next((str(number) for number in reversed(usual) if str(number) in offered), DATE)
