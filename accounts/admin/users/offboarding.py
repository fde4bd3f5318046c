"""Offboarding in the admin: the confirmation, and the report as a page, on paper and as JSON."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_safe

from accounts import access_policy
from accounts.admin.actions import CONFIRMED
from accounts.admin.base import acting_admin
from accounts.admin.errors import tell_error
from accounts.admin.navigation import below_user
from accounts.admin.service_accounts.forms import PersonField
from accounts.admin.users.actions import sign_out_if_ended
from accounts.models import User
from accounts.offboarding.credential_kinds import credential_kinds
from accounts.offboarding.report import Report, find_report
from accounts.services.offboard import offboard
from accounts.services.service_accounts import hand_over_all
from accounts.services.users import is_last_owner
from core.errors import GatehouseError

FindUser = Callable[["ModelAdmin[User]", HttpRequest, UUID], User]
# What the codes of refusals mean; others are shown as they are.
REASONS: dict[str, Any] = {
    "ended": gettext_lazy("no longer stored"),
    "account_disabled": gettext_lazy("the account is disabled"),
    "account_expired": gettext_lazy("the access of the account has ended"),
    "token_invalid": gettext_lazy("ended"),
    "token_expired": gettext_lazy("expired"),
    "api_key_invalid": gettext_lazy("revoked"),
    "not_authenticated": gettext_lazy("signed out"),
    "banned": gettext_lazy("banned"),
}


class OffboardForm(forms.Form):
    """Why; stored in the audit log. taker: who answers for their service accounts from now on."""

    reason = forms.CharField(
        label=gettext_lazy("Reason, for the audit log"), max_length=200, required=False
    )
    taker = PersonField(
        label=gettext_lazy("Hand these service accounts over to (address or user name)"),
        required=False,
    )

    def __init__(self, *args: Any, user: User, **options: Any) -> None:
        super().__init__(*args, **options)
        self.user = user

    def clean_taker(self) -> User | None:
        """Somebody who can answer for them, and not the person who leaves."""
        taker: User | None = self.cleaned_data["taker"]
        if taker is not None and (taker.pk == self.user.pk or not access_policy.may_act(taker)):
            raise forms.ValidationError(_("Choose another person, whose account is active."))
        return taker


def offboard_view(modeladmin: "ModelAdmin[User]", find: FindUser) -> Callable[..., HttpResponse]:
    """The button: asks first, then does it and leads to the report."""

    def view(request: HttpRequest, key: UUID) -> HttpResponse:
        user = find(modeladmin, request, key)
        form = OffboardForm(request.POST if CONFIRMED in request.POST else None, user=user)
        if not form.is_bound or not form.is_valid():
            return _confirmation(modeladmin, request, user, form)
        reason = form.cleaned_data["reason"]
        try:
            report = offboard(actor=acting_admin(request), user=user, reason=reason)
        except GatehouseError as error:
            tell_error(request, error)
            return redirect("admin:accounts_user_change", user.pk)
        if form.cleaned_data["taker"] is not None:
            _hand_over(request, user, form.cleaned_data["taker"])
        sign_out_if_ended(request)
        return redirect("admin:accounts_user_offboarding", user.pk, report.number)

    return view


def _hand_over(request: HttpRequest, giver: User, taker: User) -> None:
    """Hand the service accounts over, and say which ones were not."""
    try:
        result = hand_over_all(actor=acting_admin(request), giver=giver, taker=taker)
    except GatehouseError as error:
        messages.error(request, error.sentences)
        return
    if result.done:
        text = ngettext(
            "%(count)d service account was handed over to %(name)s.",
            "%(count)d service accounts were handed over to %(name)s.",
            result.done,
        )
        messages.success(request, text % {"count": result.done, "name": taker.get_full_name()})
    if result.skipped:
        text = _("Not handed over, because their role is not below your own: %(names)s")
        messages.warning(request, text % {"names": ", ".join(result.skipped)})


def _confirmation(
    modeladmin: "ModelAdmin[User]", request: HttpRequest, user: User, form: OffboardForm
) -> HttpResponse:
    now = timezone.now()
    found = [(kind.label, len(kind.find(user, now))) for kind in credential_kinds()]
    context = modeladmin.admin_site.each_context(request) | below_user(user.pk, user.email)
    context |= {
        "title": _("Offboard %(name)s") % {"name": user.get_full_name()},
        "here": _("Offboard"),
        "opts": modeladmin.opts,
        "original": user,
        "form": form,
        "confirmed_name": CONFIRMED,
        "found": [(label, count) for label, count in found if count],
        "is_self": user.pk == acting_admin(request).pk,
        "is_last_owner": is_last_owner(user),
        "service_accounts": User.objects.service_accounts().filter(responsible=user),
    }
    return render(request, "admin/accounts/user/offboard.html", context)


def report_urls(modeladmin: "ModelAdmin[User]") -> list[URLPattern]:
    """The report as a page, for printing, and as JSON to download. For all administrators."""
    views = {"": _page, "print/": _paper, "report.json": _download}
    names = {"": "offboarding", "print/": "offboarding-print", "report.json": "offboarding-json"}
    return [
        path(
            f"<uuid:key>/offboarding/<int:number>/{end}",
            modeladmin.admin_site.admin_view(require_safe(view(modeladmin))),
            name=f"accounts_user_{names[end]}",
        )
        for end, view in views.items()
    ]


def _report(modeladmin: "ModelAdmin[User]", request: HttpRequest, key: UUID, number: int) -> Report:
    if not modeladmin.has_view_permission(request):
        raise PermissionDenied
    report = find_report(key, number) if number < 2**63 else None
    if report is None:
        raise Http404
    return report


def _context(report: Report) -> dict[str, Any]:
    rows = [
        {
            "kind": kind,
            "reasons": ", ".join(str(REASONS.get(code, code)) for code in sorted(kind.reasons)),
        }
        for kind in report.kinds
    ]
    return {
        "report": report,
        "person": report.email or str(report.user_id),
        "actor": report.actor or report.actor_id or _("system"),
        "rows": [row for row in rows if row["kind"].count],  # type: ignore[attr-defined]
        "empty": [kind for kind in report.kinds if not kind.count],
        "limits": [kind for kind in report.kinds if kind.count and kind.limits],
    }


def _page(modeladmin: "ModelAdmin[User]") -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, key: UUID, number: int) -> HttpResponse:
        report = _report(modeladmin, request, key, number)
        context = modeladmin.admin_site.each_context(request) | _context(report)
        context |= {
            "title": _("Offboarding of %(person)s") % context,
            "here": _("Offboarding"),
            "opts": modeladmin.opts,
        }
        if report.email:  # the account still exists
            context |= below_user(report.user_id, context["person"])
        return render(request, "admin/accounts/user/offboarding.html", context)

    return view


def _paper(modeladmin: "ModelAdmin[User]") -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, key: UUID, number: int) -> HttpResponse:
        context = _context(_report(modeladmin, request, key, number))
        return render(request, "admin/accounts/user/offboarding_print.html", context)

    return view


def _download(modeladmin: "ModelAdmin[User]") -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, key: UUID, number: int) -> HttpResponse:
        report = _report(modeladmin, request, key, number)
        response = JsonResponse(report.as_json(), json_dumps_params={"indent": 2})
        name = f"offboarding-{report.user_id}-{number}.json"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    return view
