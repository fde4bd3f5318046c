"""Providers and the directory as an AccountSource; see accounts.account_sources."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from accounts.account_sources import AccountSource
from accounts.models import User
from federation.flow import redirect_page, stay_signed_out, to_default_provider
from federation.ldap import sign_in as ldap_sign_in
from federation.ldap.usernames import directory_problems
from federation.oidc.signout import ProviderLogout, prepare_logout
from federation.paused import paused_ids
from federation.services.identities import is_usable
from federation.services.profile_updates import held_user_ids


class ExternalAccounts(AccountSource):
    """Delegates each method to one service."""

    def username_problems(self, user: User) -> list[str]:
        return directory_problems(user)

    def held_addresses(self, users: Iterable[User]) -> set[Any]:
        return held_user_ids(users)

    def ask_about(self, emails: Iterable[str]) -> Mapping[Any, str]:
        return ldap_sign_in.why_no_links(emails)

    def managed_accounts(self, users: Iterable[User]) -> set[Any]:
        return ldap_sign_in.managed_user_ids(users)

    def can_sign_in(self, user: User, *, besides: Any) -> bool:
        paused = paused_ids()
        return any(is_usable(identity, paused) for identity in user.identities.exclude(pk=besides))

    def sign_in_redirect(self, request: HttpRequest) -> HttpResponse | None:
        return to_default_provider(request)

    def prepare_sign_out(self, request: HttpRequest) -> ProviderLogout | None:
        return prepare_logout(request)

    def sign_out_redirect(
        self, request: HttpRequest, prepared: ProviderLogout | None
    ) -> HttpResponse | None:
        return redirect_page(request, prepared.url, prepared.provider) if prepared else None

    def after_sign_out(self, response: HttpResponse) -> HttpResponse:
        return stay_signed_out(response)
