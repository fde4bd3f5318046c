"""Authentication backends: sign-ins and sessions, both subject to the access policy."""

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest

from accounts import access_policy
from accounts.models import User
from accounts.services import second_factors
from accounts.services.passwords import find_by_password
from accounts.sign_in.methods import SignInMethod
from core import sql


class AccountBackend(BaseBackend):
    """Base class of backends that check a login name and a password.

    Other sign-in methods use allauth's flow; see AccountAdapter.pre_login().
    """

    # The method that a sign-in by this backend is recorded with.
    method = SignInMethod.PASSWORD

    def authenticate(
        self,
        request: HttpRequest | None,
        password: str | None = None,
        login: str | None = None,
        *,
        check_access: bool = True,
        **credentials: Any,
    ) -> User | None:
        """The user with that address or user name and password, if they may act now.

        check_access=False is for callers that ask the access policy themselves, to give its reason.
        """
        name = login or credentials.get("email") or credentials.get("username") or ""
        user = self.find_user(request, name, password or "")
        if user is None or (check_access and not self.user_can_authenticate(user)):
            return None
        return user

    def find_user(self, request: HttpRequest | None, login: str, password: str) -> User | None:
        """The owner of these credentials, or None. Does not ask the access policy."""
        raise NotImplementedError

    def user_can_authenticate(self, user: AbstractBaseUser | None) -> bool:
        """Whether the access policy allows this account; the anonymous user never signs in."""
        return (
            isinstance(user, User)
            and not user.is_built_in
            and access_policy.get_denial(user) is None
        )

    def get_user(self, user_id: Any) -> User | None:
        """The user of a session. Called on each request, so a denial ends the session at once."""
        user = sql.find(User, "id", user_id)
        return user if self.accepts(user) else None

    def accepts(self, user: User | None) -> bool:
        """Whether this user of a session may act now; `user` was read a moment ago."""
        if user is None or second_factors.lacks_required_factor(user):
            return False  # the next sign-in asks them to set up a factor
        return self.user_can_authenticate(user)


class PasswordBackend(AccountBackend):
    """Local passwords. Also loads the users of all sessions, whatever method began them."""

    def find_user(self, request: HttpRequest | None, login: str, password: str) -> User | None:
        """See find_by_password()."""
        return find_by_password(login, password)
