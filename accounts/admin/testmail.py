"""The page "Send a test mail" of the panel."""

from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.contrib.admin.widgets import AdminEmailInputWidget
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.addresses import MAX_EMAIL_LENGTH
from accounts.admin.base import panel_actor
from accounts.errors import RateLimited, RecordInvalid
from accounts.models import User
from accounts.sent_forms import show_once
from accounts.services.testmail import TestMailReport, send_test_mail


class TestMailForm(forms.Form):
    """Where the test mail goes."""

    email = forms.CharField(
        label=gettext_lazy("Email address"),
        max_length=MAX_EMAIL_LENGTH,
        widget=AdminEmailInputWidget(attrs={"autocomplete": "email"}),
    )


def test_mail_page(table: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    """Send a test mail, and show what was said on the way."""
    actor = panel_actor(request)
    is_posted = request.method == "POST"
    form = TestMailForm(request.POST if is_posted else None, initial={"email": actor.email})
    report, status = None, 200
    if is_posted and form.is_valid():
        report, status = _send(form, actor)
    context = table.admin_site.each_context(request) | {
        "title": _("Send a test mail"),
        "opts": table.opts,
        "form": form,
        "report": report,
    }
    page = render(request, "admin/accounts/outboxmail/test.html", context, status=status)
    return page if report is None else show_once(page, request.path)


def _send(form: TestMailForm, actor: User) -> tuple[TestMailReport | None, int]:
    """The report and the status of the page; a refusal is written into the form."""
    try:
        return send_test_mail(actor=actor, email=form.cleaned_data["email"]), 200
    except RecordInvalid as error:
        form.add_error("email", error.errors["email"])
        return None, 200
    except RateLimited as error:
        form.add_error(None, str(error.message))
        return None, error.status
