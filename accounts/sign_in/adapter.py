"""allauth's account adapter: our access policy, client address and stages in its sign-in flow."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.stagekit import clear_login
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts import access_policy
from accounts.models import User
from accounts.services.sessions import sign_in
from accounts.sessions import known_devices
from accounts.sessions.reauthentication import mark_authenticated
from accounts.sign_in.methods import SignInMethod
from accounts.sign_in.stages import last_method
from core.web.client_ip import client_ip
from core.web.problem_details import error_templates
from core.web.redirects import is_safe_destination


class AccountAdapter(DefaultAccountAdapter):
    """Each override calls a service or the access policy."""

    def pre_login(
        self, request: HttpRequest, user: AbstractBaseUser, **_hints: Any
    ) -> HttpResponse | None:
        """Ask the access policy, for every method that ends in a session."""
        account = user if isinstance(user, User) and not user.is_built_in else None
        denial = access_policy.client_denial(client_ip(request)) or access_policy.get_denial(
            account
        )
        if denial is None:
            return None
        clear_login(request)
        return render(request, error_templates(denial.code), {"error": denial}, status=403)

    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        """Start the session, and record it in the audit log in the same transaction."""
        if isinstance(user, User):
            if last_method(request, user) != SignInMethod.REMEMBERED:
                mark_authenticated(request)
            sign_in(request, user)

    def post_login(self, request: HttpRequest, user: AbstractBaseUser, **hints: Any) -> Any:
        """Redirect as allauth does, and make the browser a known device."""
        response = super().post_login(request, user, **hints)
        if isinstance(user, User):
            known_devices.remember(request, response, user)
        return response

    def get_login_stages(self) -> list[str]:
        """What follows a valid credential before the session starts, in order."""
        return list(settings.SIGN_IN_STAGES)

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_ip(request)

    def is_safe_url(self, url: str) -> bool:
        """Allow our own host, and apps that use forward auth (ASVS 3.7.2)."""
        return is_safe_destination(url)

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Closed for allauth's sign-up; our own page and federation decide for themselves."""
        return False

    def add_message(self, *_args: Any, **_hints: Any) -> None:
        """Drop allauth's messages: our pages say what happened."""
