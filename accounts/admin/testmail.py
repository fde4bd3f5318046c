"""The page "Send a test mail" of the admin."""

from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.contrib.admin.widgets import AdminEmailInputWidget
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.base import acting_admin
from accounts.forms import GatehouseForm
from accounts.models import User
from accounts.sent_forms import show_once
from accounts.services.mail import TestMailReport, send_test_mail
from core.errors import RateLimited, RecordInvalid
from core.text.email_addresses import MAX_EMAIL_LENGTH


class TestMailForm(GatehouseForm):
    """The recipient of the test mail."""

    email = forms.CharField(
        label=gettext_lazy("Email address"),
        max_length=MAX_EMAIL_LENGTH,
        widget=AdminEmailInputWidget(attrs={"autocomplete": "email"}),
    )


def test_mail_page(table: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    """Send a test mail, and show the dialogue with the mail server."""
    actor = acting_admin(request)
    is_posted = request.method == "POST"
    form = TestMailForm(request.POST if is_posted else None, initial={"email": actor.email})
    report, status = None, 200
    if is_posted and form.is_valid():
        report, status = send_from_form(form, actor)
    context = table.admin_site.each_context(request) | {
        "title": _("Send a test mail"),
        "opts": table.opts,
        "form": form,
        "report": report,
    }
    page = render(request, "admin/mail/outboxmail/test.html", context, status=status)
    return page if report is None else show_once(page, request.path)


def send_from_form(form: TestMailForm, actor: User) -> tuple[TestMailReport | None, int]:
    """Send it: the report and the status of the page. Errors are added to the form."""
    try:
        return send_test_mail(actor=actor, email=form.cleaned_data["email"]), 200
    except (RecordInvalid, RateLimited) as error:
        form.add_service_errors(error)
        return None, error.status if isinstance(error, RateLimited) else 200
