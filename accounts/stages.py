"""Steps between a right credential and a session."""

from allauth.account.internal.stagekit import clear_login
from allauth.account.stages import LoginStage
from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render

from accounts.models import User
from accounts.services.verification import send_verification


class VerifiedAddressStage(LoginStage):
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
