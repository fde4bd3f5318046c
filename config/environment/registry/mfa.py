"""Settings of second factors."""

from accounts.roles import Role
from config.environment.errors import Unreadable, echo
from config.environment.schema import Section, words


def check_roles(names: list[str]) -> list[str]:
    """Names of roles, in lower case."""
    return [_role(name) for name in names]


def _role(name: str) -> str:
    try:
        return Role(name.lower()).value
    except ValueError:
        fix = "write some of owner, admin, editor, viewer, separated by commas"
        raise Unreadable(f"{echo(name)} is no role", fix) from None


FACTORS = Section(
    "Second factors",
    "Authenticator apps, passkeys and recovery codes. See docs/second-factors.md.",
    words(
        "MFA_REQUIRED_ROLES",
        default="",
        default_note="empty: everybody chooses for himself",
        example="owner,admin",
        check=check_roles,
    ).with_help(
        "Roles that need a second factor. Whoever has such a role and none is led to set one up at "
        "the next sign-in, before anything else opens; programs get 403 until then. Whoever has "
        "set one up is always asked for it, whatever stands here."
    ),
)
