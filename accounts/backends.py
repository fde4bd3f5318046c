"""The authentication backend: passwords and sessions, both subject to the access policy."""

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
    """Checks passwords and loads the users of sessions.

    Other sign-in methods use allauth's flow; see AccountAdapter.pre_login().
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        password: str | None = None,
        login: str | None = None,
        **credentials: Any,
    ) -> User | None:
        """The user with that address or user name and password, if they may act now."""
        name = login or credentials.get("email") or credentials.get("username") or ""
        found = find_by_credentials(name, password or "")
        return found.user if found and self.user_can_authenticate(found.user) else None

    def user_can_authenticate(self, user: AbstractBaseUser | None) -> bool:
        """Whether the access policy allows this account; the anonymous user never signs in."""
        return isinstance(user, User) and not user.is_built_in and access_policy.may_act(user)

    def get_user(self, user_id: Any) -> User | None:
        """The user of a session. Called on each request, so a denial ends the session at once."""
        user = sql.find(User, "id", user_id)
        if user is None or second_factors.lacks_required_factor(user):
            return None  # the next sign-in asks them to set up a factor
        return user if self.user_can_authenticate(user) else None
