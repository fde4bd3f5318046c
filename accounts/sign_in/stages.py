"""Stages between a valid credential and a session."""

from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.stagekit import clear_login
from allauth.account.stages import LoginStage, LoginStageController
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.module_loading import import_string

from accounts.models import User
from accounts.services.verification import send_verification


class VerifiedEmailStage(LoginStage):
    """Requires a verified address unless ALLOW_UNVERIFIED_EMAIL_LOGIN is on.

    Reached only after a valid credential, so the page may say what is missing.
    """

    key = "verified-address"

    def handle(self) -> tuple[HttpResponse | None, bool]:
        user = self.login.user
        if not isinstance(user, User) or user.is_verified or settings.ALLOW_UNVERIFIED_EMAIL_LOGIN:
            return None, True
        send_verification(self.request, user)
        clear_login(self.request)
        return render(self.request, "accounts/verify_sent.html", {"email": user.email}), False


def waiting_page(request: HttpRequest) -> str:
    """The URL name of the page where this browser's pending sign-in continues; "" without one.

    Clears a pending sign-in that has expired.
    """
    for path in settings.SIGN_IN_STAGES:
        stage = LoginStageController.enter(request, import_string(path).key)
        page: str = getattr(stage, "page", "")
        if page and stage.is_alive():
            return page
        if page:
            clear_login(request)
    return ""


def cancel(request: HttpRequest) -> None:
    """Clear the pending sign-in and everything it has stored in this browser's session."""
    if not request.user.is_authenticated:
        request.session.flush()
    else:
        clear_login(request)


def last_method(request: HttpRequest, user: User) -> str:
    """The method with which `user` authenticated last in this sign-in; "" for none."""
    records = get_authentication_records(request, user)
    return str(records[-1].get("method", "")) if records else ""
