"""How Django recognises people: password check and session, both through the one gate."""

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest

from accounts import access_policy
from accounts.models import User
from accounts.services import second_factors
from accounts.services.credentials import find_by_credentials
from core import sql


class AccountBackend(BaseBackend):
    """Password door and session door. The other doors sign in through allauth's flow."""

    def authenticate(
        self,
        request: HttpRequest | None,
        password: str | None = None,
        login: str | None = None,
        **credentials: Any,
    ) -> User | None:
        """The person with that address or user name and password, if the gate lets him in."""
        name = login or credentials.get("email") or credentials.get("username") or ""
        found = find_by_credentials(name, password or "")
        return found.user if found and self.user_can_authenticate(found.user) else None

    def user_can_authenticate(self, user: AbstractBaseUser | None) -> bool:
        """Django's hook for "may this account sign in"."""
        return isinstance(user, User) and not user.is_built_in and access_policy.may_act(user)

    def get_user(self, user_id: Any) -> User | None:
        """The person of a session, asked on each request: a closed gate ends it at once."""
        user = sql.find(User, "id", user_id)
        if user is None or second_factors.lacks_required_factor(user):
            return None  # the next sign-in leads to the set-up
        return user if self.user_can_authenticate(user) else None
