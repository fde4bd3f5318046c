"""Whose password is this? The local check, or the account source that judges passwords."""

from accounts.account_sources import Found, account_sources
from accounts.services.passwords import find_by_password
from accounts.sign_in_methods import SignInMethod


def find_by_credentials(login: str, password: str) -> Found | None:
    """The account of that name and password; the access policy has not been asked.

    None for a wrong password, an unknown name and an ambiguous one alike; the same work is done
    for each. Raises SourceUnavailable when a source cannot be asked; after a right password there
    RoleRequired, AccountExists, RegistrationClosed.
    """
    for source in account_sources():
        if source.checks_passwords():
            return source.find_by_credentials(login, password)
    user = find_by_password(login, password)
    return Found(user, SignInMethod.PASSWORD) if user else None
