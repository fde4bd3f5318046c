"""The page on which administrators choose which notices they get by mail."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from accounts.admin.base import acting_admin
from accounts.forms import GatehouseForm
from core.errors import GatehouseError
from mail.outage import will_be_sent
from webhooks.notice_groups import GROUPS
from webhooks.services.notices import choose_notices, chosen_groups


class NoticesForm(GatehouseForm):
    """What the administrator gets."""

    groups = forms.MultipleChoiceField(
        label=gettext_lazy("Mail me when"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        choices=[(name, group.text) for name, group in GROUPS.items()],
    )


def notices_page(table: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    """Show and store the choice of the administrator who opens it."""
    actor = acting_admin(request)
    is_posted = request.method == "POST"
    form = NoticesForm(
        request.POST if is_posted else None, initial={"groups": chosen_groups(actor)}
    )
    if is_posted and form.is_valid():
        try:
            choose_notices(
                user=actor, groups=form.cleaned_data["groups"], language=get_language() or ""
            )
        except GatehouseError as error:
            form.add_service_errors(error)
        else:
            messages.success(request, _("Your choice is stored."))
            return redirect("admin:webhooks_webhookendpoint_notices")
    context = table.admin_site.each_context(request) | {
        "title": _("Notices by mail"),
        "opts": table.opts,
        "form": form,
        "email": actor.email,
        "is_sent": will_be_sent(),
    }
    return render(request, "admin/webhooks/webhookendpoint/notices.html", context)
