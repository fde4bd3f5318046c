"""Steps between a right credential and a session."""

from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.stagekit import clear_login
from allauth.account.stages import LoginStage, LoginStageController
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.module_loading import import_string

from accounts.models import User
from accounts.services.verification import send_verification
from accounts.sign_in_methods import SignInMethod

# The method that stands for a second factor proved earlier in this browser.
REMEMBERED = SignInMethod.REMEMBERED


class VerifiedEmailStage(LoginStage):
    """Nobody gets in with an address he has not proved, unless ALLOW_UNVERIFIED_EMAIL_LOGIN.

    Reached only with a right credential, so the page may say what is missing.
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
    """The name of the page at which a sign-in of this browser waits; "" when none does.

    A sign-in that has waited too long is wiped.
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
    """Forget who waits, and all else that an unfinished sign-in has left in this browser."""
    if not request.user.is_authenticated:
        request.session.flush()
    else:
        clear_login(request)


def last_method(request: HttpRequest, user: User) -> str:
    """How `user` has proved himself last in this browser's sign-in; "" for not at all."""
    records = get_authentication_records(request, user)
    return str(records[-1].get("method", "")) if records else ""
