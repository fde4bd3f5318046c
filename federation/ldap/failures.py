"""Failures of a directory, each with its fix; shown by `ldaptest` and listed in docs/ldap.md."""

from enum import Enum
from typing import NamedTuple

from django.utils.translation import gettext_lazy as _

from core.errors import SourceUnavailable


class Failure(NamedTuple):
    """What failed, and how to fix it."""

    text: str
    fix: str


class Failures(Enum):
    """Every kind of failure."""

    NOT_CONFIGURED = Failure(
        "No directory is configured.",
        "Set LDAP_URL and LDAP_BASE_DN; AUTHENTICATION_MODE must not be local.",
    )
    NOT_INSTALLED = Failure(
        "python-ldap is not installed.",
        "Install the LDAP headers (Debian: libldap-dev libsasl2-dev), then run `make setup-ldap`.",
    )
    NO_ANSWER = Failure(
        "The server does not answer.",
        "Check host and port of LDAP_URL, that the server runs, and the firewall.",
    )
    TOO_SLOW = Failure(
        "The server did not answer within 5 seconds.",
        "Check the server's load, and that LDAP_SEARCH_FILTER asks for indexed attributes.",
    )
    CERTIFICATE = Failure(
        "TLS failed: the server's certificate is not trusted, or is not for this host name.",
        "Set LDAP_CA_CERT_PATH to the authority's PEM file, and write the host name of the "
        "certificate in LDAP_URL.",
    )
    NO_TLS = Failure(
        "The server does not speak TLS at this port.",
        "ldaps:// is usually port 636; at 389 use ldap:// with LDAP_STARTTLS=true.",
    )
    NO_STARTTLS = Failure(
        "The server does not offer StartTLS.",
        "Use ldaps:// in LDAP_URL, or set up a certificate on the server.",
    )
    TLS_REQUIRED = Failure(
        "The server refuses connections without TLS.",
        "Use ldaps:// in LDAP_URL, or set LDAP_STARTTLS=true.",
    )
    SERVICE_PASSWORD = Failure(
        "The service account was refused.",
        "Check LDAP_BIND_DN and LDAP_BIND_PASSWORD.",
    )
    NO_BASE = Failure(
        "There is no entry LDAP_BASE_DN, or the service account may not see it.",
        "Check LDAP_BASE_DN, LDAP_GROUP_BASE_DN and the rights of LDAP_BIND_DN.",
    )
    NO_RIGHT = Failure(
        "The service account may not search.",
        "Give LDAP_BIND_DN the right to read; many servers refuse to be asked anonymously.",
    )
    BAD_FILTER = Failure(
        "The server does not understand the filter.",
        "Check LDAP_SEARCH_FILTER, LDAP_AUTHORIZATION_FILTER and LDAP_GROUP_SEARCH_FILTER.",
    )
    TOO_MANY = Failure(
        "The server does not give all results.",
        "Raise the server's size limit for LDAP_BIND_DN, or narrow LDAP_BASE_DN.",
    )
    NO_USERS_VISIBLE = Failure(
        "The directory returns no entries at all.",
        "Check the rights of LDAP_BIND_DN, LDAP_BASE_DN and LDAP_SEARCH_FILTER.",
    )
    GROUPS_INCOMPLETE = Failure(
        "The server gives only a part of the person's groups.",
        "Set LDAP_GROUP_SEARCH_FILTER, for example (member={user_dn}).",
    )
    OTHER = Failure(
        "The server answered with an error.",
        "See the server's log for the reason.",
    )
    BAD_LOGIN = Failure(
        "This user name cannot be asked for: it is empty, too long or holds control characters.",
        "Type the name as it stands in the directory.",
    )
    NO_HIT = Failure(
        "No user in the directory has this user name.",
        "Check the spelling, LDAP_BASE_DN and LDAP_SEARCH_FILTER.",
    )
    SEVERAL_HITS = Failure(
        "More than one entry has this user name, so it cannot be used to sign in.",
        "Narrow LDAP_BASE_DN or LDAP_SEARCH_FILTER until one entry is left.",
    )
    WRONG_PASSWORD = Failure(
        "The directory does not accept this password.",
        "Try it again; else reset it in the directory. A locked account there looks the same.",
    )
    EMPTY_PASSWORD = Failure(
        "An empty password is never sent.",
        "Type the password.",
    )
    DISABLED = Failure(
        "The directory says that this account is disabled, expired or locked.",
        "Open it in the directory; the attribute that says so is named.",
    )
    NOT_ADMITTED = Failure(
        "LDAP_AUTHORIZATION_FILTER does not find this person.",
        "Put the person into the group that the filter asks for, or correct the filter.",
    )
    LOCAL_ACCOUNT = Failure(
        "A local account with a password has this name, so the directory is not asked.",
        "Start a password reset for that account in the admin panel, or give it another name.",
    )
    ACCOUNT_EXISTS = Failure(
        "An account with this email address exists, and the directory may not connect to it.",
        "If it is theirs, start a password reset for it in the admin panel, which removes its "
        "local password; otherwise change its address.",
    )
    EMAIL_NOT_ALLOWED = Failure(
        "ALLOWED_EMAILS does not contain this email address.",
        "Add the address or its domain to ALLOWED_EMAILS, or invite the user.",
    )
    DENIED = Failure(
        "The account may not sign in here.",
        "Enable the account or lift its ban in the admin panel; the reason is named.",
    )


class DirectoryError(SourceUnavailable):
    """The directory does not answer or fails. No one signs in, and no user counts as removed.

    detail: what the server or the library said; never a password.
    """

    code = "directory_unavailable"
    status = 503
    title = _("The directory does not answer")
    default_message = _(
        "The email address or password is not right, or the directory cannot be asked at the "
        "moment. Try again in a few minutes."
    )

    def __init__(self, failure: Failures, detail: str = "") -> None:
        super().__init__()
        self.failure, self.detail = failure, detail
