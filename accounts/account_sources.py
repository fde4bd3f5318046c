"""Where accounts come from besides the own tables: the seam that sign-in elsewhere fills.

`settings.ACCOUNT_SOURCES` lists classes of AccountSource by dotted path; `federation.sources` is
the one that ships. Without any, passwords are local ones and nothing leads elsewhere.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from accounts.models import User
from accounts.sign_in_methods import SignInMethod


class Found(NamedTuple):
    """Whose credentials they are, and by which method; the access policy has not been asked."""

    user: User
    method: SignInMethod


class AccountSource:
    """What a source may answer; the defaults say that it has nothing to say."""

    def checks_passwords(self) -> bool:
        """Does it judge passwords, in place of the local check?"""
        return False

    def find_by_credentials(self, login: str, password: str) -> Found | None:
        """As services.credentials.find_by_credentials(). Raises SourceUnavailable."""
        raise NotImplementedError

    def username_problems(self, user: User) -> list[str]:
        """What speaks against the user name of `user`; sentences."""
        return []

    def held_addresses(self, users: Iterable[User]) -> set[Any]:
        """Keys of those to whose address no link may go: it may be somebody else's by now."""
        return set()

    def ask_about(self, emails: Iterable[str]) -> Mapping[Any, str]:
        """Key of each account of the source with one of these addresses -> why it gets no link,
        or "". Called outside of transactions: it may ask another server."""
        return {}

    def managed_accounts(self, users: Iterable[User]) -> set[Any]:
        """Keys of those whose access the source decides."""
        return set()

    def can_sign_in(self, user: User, *, besides: Any) -> bool:
        """Could `user` sign in by this source now? besides: the key of an identity to leave out."""
        return False

    def sign_in_redirect(self, request: HttpRequest) -> HttpResponse | None:
        """Where a stranger goes instead of the sign-in page."""
        return None

    def prepare_sign_out(self, request: HttpRequest) -> Any:
        """Called before the session ends; what it returns comes back in sign_out_redirect()."""
        return None

    def sign_out_redirect(self, request: HttpRequest, prepared: Any) -> HttpResponse | None:
        """Where the browser goes to sign out there as well."""
        return None

    def after_sign_out(self, response: HttpResponse) -> HttpResponse:
        """The last answer of a sign-out."""
        return response


def account_sources() -> list[AccountSource]:
    """The sources of the settings, in their order."""
    return [_load(path) for path in settings.ACCOUNT_SOURCES]


@cache
def _load(path: str) -> AccountSource:
    source: AccountSource = import_string(path)()
    return source


def username_problems(user: User) -> list[str]:
    """What speaks against the user name of `user`, of all sources."""
    return [text for source in account_sources() for text in source.username_problems(user)]


def held_addresses(users: Iterable[User]) -> set[Any]:
    """Keys of those to whose address no link may go."""
    people = list(users)
    return set().union(*(source.held_addresses(people) for source in account_sources()))


def may_get_links(user: User) -> bool:
    """May a link be mailed to the address of `user`?"""
    return not held_addresses([user])


def ask_about(emails: Iterable[str]) -> dict[Any, str]:
    """See AccountSource.ask_about()."""
    found: dict[Any, str] = {}
    for source in account_sources():
        found |= source.ask_about(emails)
    return found


def managed_accounts(users: Iterable[User]) -> set[Any]:
    """Keys of those whose access a source decides."""
    people = list(users)
    return set().union(*(source.managed_accounts(people) for source in account_sources()))
