"""Finding an account by its password: locally, or through a source that checks passwords."""

from accounts.account_sources import Found, account_sources
from accounts.services.passwords import find_by_password
from accounts.sign_in_methods import SignInMethod


def find_by_credentials(login: str, password: str) -> Found | None:
    """The account with that name and password; the access policy is not yet asked.

    None for a wrong password, an unknown name or an ambiguous one; all take the same time. Raises
    SourceUnavailable when a source does not respond, and, after a valid password there,
    RoleRequired, AccountExists or RegistrationClosed.
    """
    for source in account_sources():
        if source.checks_passwords():
            return source.find_by_credentials(login, password)
    user = find_by_password(login, password)
    return Found(user, SignInMethod.PASSWORD) if user else None
