"""allauth's hooks: its sign-in flow runs on our gate, our client address and our stages."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.stagekit import clear_login
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts import access_policy, known_devices
from accounts.models import User
from accounts.reauthentication import mark_authenticated
from accounts.services.sessions import sign_in
from accounts.sign_in_stages import REMEMBERED, last_method
from core.client_ip import client_ip
from core.problem_details import refusal_templates
from core.redirects import is_safe_destination


class AccountAdapter(DefaultAccountAdapter):
    """Few overrides; each calls a service or the gate."""

    def pre_login(
        self, request: HttpRequest, user: AbstractBaseUser, **_hints: Any
    ) -> HttpResponse | None:
        """The gate of every door that ends in a session."""
        is_person = isinstance(user, User) and not user.is_built_in
        found = access_policy.client_denial(client_ip(request)) or access_policy.get_denial(
            user if is_person else None  # type: ignore[arg-type]  # a User then
        )
        if found is None:
            return None
        clear_login(request)
        return render(request, refusal_templates(found.code), {"error": found}, status=403)

    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        """Start the session and write who signed in, by what, in one transaction."""
        if isinstance(user, User):
            if last_method(request, user) != REMEMBERED:
                mark_authenticated(request)
            sign_in(request, user)

    def post_login(self, request: HttpRequest, user: AbstractBaseUser, **hints: Any) -> Any:
        """Where the new session leads; its browser is a known device from now on."""
        response = super().post_login(request, user, **hints)
        if isinstance(user, User):
            known_devices.remember(request, response, user)
        return response

    def get_login_stages(self) -> list[str]:
        """What stands between a right credential and a session, in order."""
        return list(settings.SIGN_IN_STAGES)

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_ip(request)

    def is_safe_url(self, url: str) -> bool:
        """`next` stays on the own host, or leads to an app that asks here (ASVS 3.7.2)."""
        return is_safe_destination(url)

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Social sign-up asks here; our own page decides by itself."""
        return False

    def add_message(self, *_args: Any, **_hints: Any) -> None:
        """allauth's own notices are left out: our pages say what happened."""
