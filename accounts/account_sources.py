"""External sources of accounts: the interface through which federation takes part in sign-in.

`settings.ACCOUNT_SOURCES` lists subclasses of AccountSource by dotted path; `federation.sources`
has the one that ships. Passwords are no part of it: they are checked by AUTHENTICATION_BACKENDS.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from accounts.models import User


class AccountSource:
    """Base class of sources. Override what applies; the defaults change nothing."""

    def username_problems(self, user: User) -> list[str]:
        """Messages that say why `user` may not have their user name; empty if they may."""
        return []

    def held_addresses(self, users: Iterable[User]) -> set[Any]:
        """Primary keys of users who get no links by mail: the address may have a new owner."""
        return set()

    def ask_about(self, emails: Iterable[str]) -> Mapping[Any, str]:
        """Which of the source's accounts with these addresses get no link.

        Returns {primary key: reason, or "" if it gets one}. Called outside transactions, because
        it may ask another server.
        """
        return {}

    def managed_accounts(self, users: Iterable[User]) -> set[Any]:
        """Primary keys of users whose access the source decides."""
        return set()

    def can_sign_in(self, user: User, *, besides: Any) -> bool:
        """Whether `user` could sign in through this source now.

        besides: the primary key of an identity to ignore.
        """
        return False

    def sign_in_redirect(self, request: HttpRequest) -> HttpResponse | None:
        """A redirect to show in place of the sign-in page."""
        return None

    def prepare_sign_out(self, request: HttpRequest) -> Any:
        """Called before the session ends. The result is passed to sign_out_redirect()."""
        return None

    def sign_out_redirect(self, request: HttpRequest, prepared: Any) -> HttpResponse | None:
        """A redirect that signs the user out at the source, too."""
        return None

    def after_sign_out(self, response: HttpResponse) -> HttpResponse:
        """Process the last response of a sign-out."""
        return response


def account_sources() -> list[AccountSource]:
    """The configured sources, in the order of the setting."""
    return [_load(path) for path in settings.ACCOUNT_SOURCES]


@cache
def _load(path: str) -> AccountSource:
    source: AccountSource = import_string(path)()
    return source


def username_problems(user: User) -> list[str]:
    """See AccountSource.username_problems(); of all sources."""
    return [text for source in account_sources() for text in source.username_problems(user)]


def held_addresses(users: Iterable[User]) -> set[Any]:
    """See AccountSource.held_addresses(); of all sources."""
    candidates = list(users)
    return set().union(*(source.held_addresses(candidates) for source in account_sources()))


def may_get_links(user: User) -> bool:
    """Whether a link may be mailed to the address of `user`."""
    return not held_addresses([user])


def ask_about(emails: Iterable[str]) -> dict[Any, str]:
    """See AccountSource.ask_about(); of all sources."""
    reasons: dict[Any, str] = {}
    for source in account_sources():
        reasons |= source.ask_about(emails)
    return reasons


def managed_accounts(users: Iterable[User]) -> set[Any]:
    """See AccountSource.managed_accounts(); of all sources."""
    candidates = list(users)
    return set().union(*(source.managed_accounts(candidates) for source in account_sources()))
