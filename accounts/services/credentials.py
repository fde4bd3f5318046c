"""Finding an account by its password, through AUTHENTICATION_BACKENDS."""

from typing import Any, NamedTuple

from django.contrib.auth import authenticate, load_backend
from django.http import HttpRequest

from accounts.models import User
from accounts.sign_in.methods import SignInMethod


class Found(NamedTuple):
    """The owner of valid credentials, and the method used. The access policy is not yet asked."""

    user: User
    method: SignInMethod


def find_by_credentials(request: HttpRequest, login: str, password: str) -> Found | None:
    """The account with that name and password; the access policy is not yet asked.

    None for a wrong password, an unknown name or an ambiguous one; all take the same time. Raises
    SourceUnavailable when the directory does not respond, and, after a valid password there,
    RoleRequired, AccountExists or RegistrationClosed.
    """
    user: Any = authenticate(request, login=login, password=password, check_access=False)
    if user is None:
        return None
    backend: Any = load_backend(user.backend)
    return Found(user, backend.method)
