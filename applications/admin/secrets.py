"""The secrets of an app on its page, and the pages that make and revoke one."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from accounts.admin.base import acting_admin
from accounts.admin.columns import badge, moment
from accounts.admin.users.sections import Button, Content, Row
from accounts.forms import GatehouseForm
from accounts.models import User
from accounts.roles import Role
from accounts.sent_forms import show_once
from applications.admin.sections import add_pages, add_section
from applications.models import App, AppSecret
from applications.services.secrets import (
    IssuedSecret,
    create_secret,
    live_secrets,
    revoke_secret,
    secrets_of,
)
from core.errors import GatehouseError

TEMPLATES = "admin/applications/app"
CHANGE, ROTATE, REVOKE = (
    f"admin:applications_app_{name}" for name in ("change", "rotate", "revoke")
)
STATES: dict[str, tuple[str, Any]] = {
    "live": ("good", gettext_lazy("Works")),
    "revoked": ("bad", gettext_lazy("Revoked")),
    "expired": ("plain", gettext_lazy("Ended")),
}


class RotateForm(GatehouseForm):
    """How long the old secret goes on working."""

    overlap_days = forms.TypedChoiceField(
        label=gettext_lazy("The old secret"),
        coerce=int,
        initial=7,
        widget=forms.RadioSelect,
        choices=[
            (7, gettext_lazy("works for 7 days more, beside the new one")),
            (30, gettext_lazy("works for 30 days more, beside the new one")),
            (1, gettext_lazy("works for 1 day more, beside the new one")),
            (0, gettext_lazy("ends now, because others may know it")),
        ],
    )

    @property
    def overlap(self) -> timedelta:
        """The chosen time; of a valid form."""
        return timedelta(days=self.cleaned_data["overlap_days"])


class FirstForm(GatehouseForm):
    """For an app without a secret that works: there is nothing to choose."""

    overlap = timedelta()


def section(request: HttpRequest, app: App) -> Content:
    """The client id, and the secrets with what became of them."""
    now = timezone.now()
    may_change = isinstance(request.user, User) and request.user.role == Role.OWNER
    rows = [_row(app, secret, secret.state(now), may_change) for secret in secrets_of(app, now)]
    return Content(
        (_("Secret"), _("State"), _("Created"), _("Last used")),
        rows,
        empty=_("The app has no secret. It needs one only to ask Gatehouse whose credential it "
                "was sent."),
        template=f"{TEMPLATES}/_secrets.html",
        context={"app": app, "may_change": may_change},
    )  # fmt: skip


def _row(app: App, secret: AppSecret, state: str, may_change: bool) -> Row:
    shown = badge(*STATES[state])
    if state == "live" and secret.expires_at is not None:
        shown = format_html("{} {}", shown, _until(secret))
    cells = (
        format_html("<code>{}</code>", str(secret)),
        shown,
        moment(secret.created_at),
        moment(secret.last_used_at, empty=_("never")),
    )
    if state != "live" or not may_change:
        return Row(cells)
    question = _("Revoke the secret %(secret)s of %(app)s? Requests with it are refused at once.")
    return Row(
        cells,
        Button(
            reverse(REVOKE, args=[app.pk, secret.pk]), "", "", _("Revoke"),
            question % {"secret": str(secret), "app": app.name},
        ),
    )  # fmt: skip


def _until(secret: AppSecret) -> Any:
    return format_html(_("ends {}"), moment(secret.expires_at))


def pages(table: "ModelAdmin[Any]") -> list[URLPattern]:
    """The page that makes a secret and shows it once, and the button that revokes one."""
    guard = table.admin_site.admin_view

    def common(request: HttpRequest, app: App) -> dict[str, Any]:
        context = {"opts": table.opts, "original": app, "subtitle": app.name}
        return table.admin_site.each_context(request) | context

    def rotate(request: HttpRequest, key: UUID) -> HttpResponse:
        app = _find(table, request, key)
        return _rotate_view(request, app, common(request, app))

    def revoke(request: HttpRequest, key: UUID, secret: UUID) -> HttpResponse:
        app = _find(table, request, key)
        try:
            revoke_secret(actor=acting_admin(request), app=app, secret_id=secret)
        except GatehouseError as error:
            messages.error(request, error.sentences)
        else:
            messages.success(request, _("The secret is revoked."))
        return redirect(CHANGE, app.pk)

    both = require_http_methods(["GET", "HEAD", "POST"])
    return [
        path("<uuid:key>/secret/", guard(both(rotate)), name="applications_app_rotate"),
        path(
            "<uuid:key>/secret/<uuid:secret>/revoke/",
            guard(require_POST(revoke)),
            name="applications_app_revoke",
        ),
    ]


def _rotate_view(request: HttpRequest, app: App, common: dict[str, Any]) -> HttpResponse:
    live = live_secrets(app, timezone.now())
    kind = RotateForm if live else FirstForm
    form = kind(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            issued = create_secret(actor=acting_admin(request), app=app, overlap=form.overlap)
        except GatehouseError as error:
            form.add_service_errors(error)
        else:
            return _secret_page(request, issued, common)
    title = _("Replace the secret") if live else _("Make a secret")
    return render(
        request, f"{TEMPLATES}/rotate.html", common | {"title": title, "form": form, "live": live}
    )


def _secret_page(
    request: HttpRequest, issued: IssuedSecret, common: dict[str, Any]
) -> HttpResponse:
    app = issued.secret.app
    context = {"title": _("The secret of the app"), "app": app, "secret": issued.text}
    page = render(request, f"{TEMPLATES}/secret.html", common | context)
    return show_once(page, reverse(CHANGE, args=[app.pk]))


def _find(table: "ModelAdmin[Any]", request: HttpRequest, key: UUID) -> App:
    """Raises Http404; PermissionDenied for all but owners."""
    found = App.objects.filter(pk=key).first()
    if found is None:
        raise Http404
    if not table.has_change_permission(request, found):
        raise PermissionDenied
    return found


add_pages(pages)
add_section("secrets", gettext_lazy("For its backend"), section)
