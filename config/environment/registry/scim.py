"""Settings of provisioning: which roles SCIM gives."""

from accounts.roles import Role
from config.environment.parsing.role_names import check_bounded_mapping
from config.environment.schema import Section, choice, text

SCIM = Section(
    "Provisioning (SCIM)",
    "An identity system such as Entra or Okta creates and disables accounts at /scim/v2, with an "
    "API key that has the scope scim; see docs/scim.md.",
    text(
        "SCIM_ROLES_MAPPING",
        example='{"Editors of the wiki": "editor", "Everybody": "viewer"}',
        check=check_bounded_mapping,
    ).with_help(
        "JSON that maps groups of SCIM, by their displayName or name, to roles. The highest role "
        "wins, as far as the key may give it; owner cannot be mapped. Without it, SCIM changes no "
        "roles."
    ),
    choice(
        "SCIM_DEFAULT_ROLE",
        default="viewer",
        example="none",
        choices=tuple(role for role in Role if role is not Role.OWNER),
    ).with_help(
        "The role of accounts that SCIM creates, and with SCIM_ROLES_MAPPING of those in no group "
        "that it maps."
    ),
)
