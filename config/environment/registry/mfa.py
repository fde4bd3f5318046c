"""Settings of second factors."""

from accounts.roles import Role
from config.environment.errors import Unreadable
from config.environment.schema import Section, words
from core.text.plain_text import echo


def check_roles(names: list[str]) -> list[str]:
    """Names of roles, in lower case."""
    return [_role(name) for name in names]


def _role(name: str) -> str:
    try:
        return Role(name.lower()).value
    except ValueError:
        fix = "write some of owner, admin, editor, viewer, separated by commas"
        raise Unreadable(f"{echo(name)} is not a role", fix) from None


FACTORS = Section(
    "Second factors",
    "Authenticator apps, passkeys and recovery codes. See docs/second-factors.md.",
    words(
        "MFA_REQUIRED_ROLES",
        default="",
        default_note="empty: every user decides",
        example="owner,admin",
        check=check_roles,
    ).with_help(
        "The roles that require a second factor. At the next sign-in, users with such a role must "
        "set one up before they can do anything else; until then the API responds with 403. Users "
        "who have a second factor are always asked for it."
    ),
)
