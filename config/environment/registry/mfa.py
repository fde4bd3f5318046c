"""Settings of second factors."""

from config.environment.parsing.role_names import parse_role
from config.environment.schema import Section, words


def check_roles(names: list[str]) -> list[str]:
    """Names of roles, in lower case."""
    return [parse_role(name).value for name in names]


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
