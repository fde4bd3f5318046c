"""Finding an account by its password, and whether an account has another way to sign in."""

from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import authenticate, load_backend
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.account_sources import account_sources
from accounts.models import User
from accounts.services.passwords import can_use_local_password
from accounts.sign_in.methods import SignInMethod
from core.errors import Forbidden
from core.text import email_addresses


class Found(NamedTuple):
    """The owner of valid credentials, and the method used. The access policy is not yet asked."""

    user: User
    method: SignInMethod


class LastSignInMethod(Forbidden):
    """Without this method the user could not sign in any more (A103)."""

    code = "last_way_in"
    default_message = _("This is your only way to sign in. Set up another one first.")


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


def has_other_sign_in_method(user: User, besides: Any) -> bool:
    """Whether `user` can still sign in without `besides`, one of their identities or passkeys."""
    return can_sign_in(user, besides=besides.pk)


def can_sign_in(user: User, *, besides: Any = None, mail_works: bool = True) -> bool:
    """Whether `user` has a way to sign in.

    besides: the key of an identity or passkey that does not count. mail_works=False: links by mail
    do not count.
    """
    gets_links = settings.ALLOW_MAGIC_LINK_LOGIN and user.is_verified and gets_mail(user)
    return (
        (settings.ALLOW_EMAIL_LOGIN and user.has_usable_password() and can_use_local_password(user))
        or (mail_works and gets_links)
        or any(source.can_sign_in(user, besides=besides) for source in account_sources())
        or user.authenticators.filter(kind="passkey").exclude(pk=besides).exists()
    )


def gets_mail(user: User) -> bool:
    """Whether mail can reach `user`."""
    return settings.MAIL.transport != "none" and not email_addresses.is_placeholder(user.email)
