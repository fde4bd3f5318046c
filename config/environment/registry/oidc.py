"""Settings of sign-in by OpenID Connect: LibreChat's, Reflector's, LobeChat's and Mage's names."""

from config.environment.parsing.group_names import GROUPS_FIX, check_groups_mapping
from config.environment.parsing.role_names import check_fallback, check_mapping, check_sync_roles
from config.environment.registry.external_jwt import check_issuer
from config.environment.registry.social import callback, internal_url, trust_email
from config.environment.schema import (
    Alias,
    Section,
    Variable,
    choice,
    duration,
    integer,
    secret,
    switch,
    text,
    url,
    words,
)

TOKEN_KINDS = ("id", "access", "userinfo")


def _claim(which: str, what: str, usual: str) -> Variable:
    return text(
        f"OPENID_{which}_CLAIM",
        default_note=usual,
        example=f"custom_{which.lower()}",
        origin="LibreChat",
    ).with_help(f"The claim that contains the {what} of a user.")


def _rule(prefix: str, effect: str, example: str) -> tuple[Variable, ...]:
    """Role, path and token kind of LibreChat's required and admin roles."""
    return (
        words(
            prefix, default="", default_note="none", example=example, origin="LibreChat"
        ).with_help(f"{effect} One value of the list is enough."),
        text(
            f"{prefix}_PARAMETER_PATH",
            default="roles",
            example="realm_access.roles",
            origin="LibreChat",
        ).with_help(
            f"The claim with the values of {prefix}: its name, or a path of names with dots."
        ),
        choice(
            f"{prefix}_TOKEN_KIND",
            default="id",
            example="access",
            choices=TOKEN_KINDS,
            origin="LibreChat",
        ).with_help(f"Which token, or the userinfo response, contains the claim of {prefix}."),
    )


def _groups(prefix: str, where: str) -> Variable:
    return text(
        f"{prefix}_GROUPS_MAPPING",
        example='{"Finance Dept": "finance", "Staff": ["staff", "wiki"]}',
        check=check_groups_mapping,
        fix=GROUPS_FIX,
    ).with_help(
        f"JSON that maps groups{where} to a group of Gatehouse or to a list of them; see "
        "docs/groups.md. Applies at each sign-in, and removes as well."
    )


def _without_effect(name: str, why: str) -> Variable:
    return text(name, example="1", origin="LibreChat").with_help(f"Accepted without effect: {why}")


OPENID = Section(
    "Sign-in through OpenID Connect",
    "One provider, configured by LibreChat's names; its id is openid. You may write an issuer with "
    "or without a trailing slash, or as the URL of its discovery document.",
    text("OPENID_CLIENT_ID", example="gatehouse", origin="LibreChat").with_help(
        "The client id of Gatehouse at the provider."
    ),
    secret("OPENID_CLIENT_SECRET", origin="LibreChat").with_help(
        "The client secret of Gatehouse at the provider."
    ),
    text(
        "OPENID_ISSUER",
        example="https://id.example.com/realms/team",
        check=check_issuer,
        origin="LibreChat",
    ).with_help(
        "The issuer of the provider. The issuer of Microsoft contains the id of one tenant."
    ),
    text(
        "OPENID_SCOPE",
        default="openid profile email",
        example="openid profile email groups",
        origin="LibreChat",
    ).with_help("The scopes that Gatehouse requests, separated by spaces."),
    trust_email("OPENID", "the provider"),
    internal_url("OPENID"),
    callback("OPENID", "/oauth/openid/callback", "the provider", "LibreChat"),
    text(
        "OPENID_BUTTON_LABEL", default="OpenID", example="Example Inc.", origin="LibreChat"
    ).with_help("The name of the provider on its button."),
    text("OPENID_IMAGE_URL", example="/static/logo.svg", origin="LibreChat").with_help(
        "The image on the button. Only images of this site are shown, because pages load nothing "
        "from other sites."
    ),
    switch("OPENID_AUTO_REDIRECT", default=False, origin="LibreChat").with_help(
        "Redirects users from the sign-in page to the provider at once. /sign-in?local=1 shows the "
        "page, and so does a browser that has just signed out."
    ),
    switch("OPENID_REGISTRATION", default=True).with_help(
        "Whether a new user who signs in by an OpenID Connect provider gets an account. "
        "ALLOWED_EMAILS applies."
    ),
    choice(
        "OPENID_DEFAULT_ROLE",
        default="none",
        example="viewer",
        choices=("none", "viewer", "editor"),
        aliases=(Alias("OAUTH_DEFAULT_ACCESS", "Mage"),),
    ).with_help(
        "The role of a new user who signs in by an OpenID Connect provider, if no role rule "
        "applies."
    ),
    switch("OPENID_USE_PKCE", default=True, origin="LibreChat").with_help(
        "Whether PKCE (S256) binds the authorization code to this sign-in."
    ),
    switch("OPENID_GENERATE_NONCE", default=True, origin="LibreChat").with_help(
        "Whether a nonce binds the ID token to this sign-in. Cognito requires it."
    ),
    text("OPENID_AUDIENCE", example="https://api", origin="LibreChat").with_help(
        "The API for which Auth0 issues access tokens."
    ),
    duration(
        "OPENID_CLOCK_TOLERANCE",
        default="5m",
        example="300",
        bounds=("0", "10m"),
        bare_unit="seconds",
        origin="LibreChat",
    ).with_help(
        "The tolerated difference between the clocks of OpenID Connect providers and this "
        "machine's."
    ),
    _claim("EMAIL", "email address", "`email`, else `preferred_username`, else `upn`"),
    _claim("NAME", "name", "`name`, else `given_name` with `family_name`"),
    _claim("USERNAME", "user name", "`preferred_username`, else `username`"),
    switch("OPENID_USE_END_SESSION_ENDPOINT", default=False, origin="LibreChat").with_help(
        "Whether sign-out continues to the provider's own sign-out."
    ),
    url(
        "OPENID_POST_LOGOUT_REDIRECT_URI",
        default=lambda values: f"{values['PUBLIC_URL']}/sign-in",
        default_note="the sign-in page",
        example="https://gate.example.com/sign-in",
        origin="LibreChat",
    ).with_help(
        "Where the provider redirects users after its sign-out. Register it at the provider."
    ),
    integer(
        "OPENID_MAX_LOGOUT_URL_LENGTH",
        default=2000,
        example="4000",
        bounds=(500, 32_000),
        origin="LibreChat",
    ).with_help("If the URL of the provider's sign-out is longer, the ID token is left out."),
    secret("OPENID_SESSION_SECRET", origin="LibreChat").with_help(
        "Accepted without effect: sessions need no secret of their own."
    ),
    _without_effect("OPENID_REUSE_TOKENS", "the provider's tokens give no access here."),
    _without_effect("OPENID_REUSE_MAX_SESSION_AGE_MS", "see OPENID_REUSE_TOKENS."),
)

OPENID_ROLES = Section(
    "Roles from OpenID Connect",
    "Who can sign in by openid and which role they get, by LibreChat's names. These apply at each "
    "sign-in; a role that an administrator has locked stays.",
    *_rule("OPENID_REQUIRED_ROLE", "Users without this role at the provider cannot sign in.", "a"),
    *_rule(
        "OPENID_ADMIN_ROLE",
        "Users with this role at the provider become admin, and lose admin without it.",
        "admins",
    ),
    switch("OPENID_ROLE_SYNC_ENABLED", default=False, origin="LibreChat").with_help(
        "Whether the role is taken from a claim."
    ),
    choice(
        "OPENID_ROLE_SYNC_SOURCE",
        default="id",
        example="userinfo",
        choices=TOKEN_KINDS,
        origin="LibreChat",
    ).with_help("Which token, or the userinfo response, contains the claim."),
    text("OPENID_ROLE_SYNC_CLAIM", example="resource.roles", origin="LibreChat").with_help(
        "The claim that contains the role: its name, or a path of names with dots."
    ),
    words(
        "OPENID_ROLE_SYNC_ROLE_PRIORITY",
        default="editor,viewer",
        example="staff:editor,viewer",
        check=check_sync_roles,
        origin="LibreChat",
    ).with_help(
        "The values that give a role; the first one that a user has wins. Write value:role for a "
        "value that is not the name of a role. admin and owner are never given."
    ),
    text(
        "OPENID_ROLE_SYNC_FALLBACK_ROLE",
        default_note="the value of `OPENID_DEFAULT_ROLE`",
        example="viewer",
        check=check_fallback,
        origin="LibreChat",
    ).with_help("The role of users who have none of these values."),
    _without_effect("OPENID_ROLE_SYNC_API_ENABLED", "the API always shows roles."),
    _groups("OPENID", " at the provider openid, from OPENID_GROUPS_CLAIM,"),
    text("OPENID_GROUPS_CLAIM", default="groups", example="realm_access.roles").with_help(
        "The claim with the groups of OPENID_GROUPS_MAPPING, in the ID token, the access token or "
        "the userinfo response: its name, or a path of names with dots."
    ),
)

LISTED = Section(
    "Providers of a list",
    "A list of providers, as in LobeChat. For each provider set `AUTH_<PROVIDER>_ID`, "
    "`AUTH_<PROVIDER>_SECRET`, `AUTH_<PROVIDER>_ISSUER`, and optionally `AUTH_<PROVIDER>_LABEL` "
    "and `AUTH_<PROVIDER>_CALLBACK_URL` (`/api/auth/callback/<provider>`). The provider "
    "`microsoft-entra-id`, for example, has `AUTH_MICROSOFT_ENTRA_ID_ID`; it and `azure-ad` take "
    "`AUTH_<PROVIDER>_TENANT_ID` in place of an issuer. The list may also name Google, GitHub, "
    "Discord, Facebook, Apple, authentik, openid and oidc, to order their buttons.",
    words(
        "AUTH_SSO_PROVIDERS",
        default="",
        default_note="none",
        example="authentik,github",
        origin="LobeChat",
        aliases=(
            Alias("NEXT_AUTH_SSO_PROVIDERS", "LobeChat"),
            Alias("SSO_PROVIDERS", "LobeChat"),
        ),
    ).with_help("The providers with a button, in the order of their buttons."),
    text(
        "SSO_ROLES_MAPPING",
        example='{"Team leads": "admin", "Everybody": "viewer"}',
        check=check_mapping,
    ).with_help(
        "JSON that maps groups at a provider of this list, or at authentik, to roles. The highest "
        "role wins. Only a group that is mapped to owner makes owners."
    ),
    words(
        "SSO_ROLES_CLAIM",
        default="groups",
        default_note="`groups`, of cognito also `cognito:groups`",
        example="realm_access.roles",
    ).with_help("The claims that contain the groups, in the ID token or the userinfo response."),
    _groups("SSO", ", from SSO_ROLES_CLAIM, at a provider of this list, or at authentik,"),
)

AUTHENTIK = Section(
    "Sign-in through Authentik",
    "Configured by the names of Reflector or LobeChat. The issuer is AUTHENTIK_ISSUER.",
    text(
        "AUTHENTIK_CLIENT_ID",
        example="gatehouse",
        origin="Reflector",
        aliases=(Alias("AUTH_AUTHENTIK_ID", "LobeChat"),),
    ).with_help("The client id of Gatehouse at authentik. With it, authentik has a button."),
    secret(
        "AUTHENTIK_CLIENT_SECRET",
        origin="Reflector",
        aliases=(Alias("AUTH_AUTHENTIK_SECRET", "LobeChat"),),
    ).with_help("The client secret of Gatehouse at authentik."),
    trust_email("AUTHENTIK", "Authentik"),
    internal_url("AUTHENTIK"),
    callback("AUTHENTIK", "/api/auth/callback/authentik", "Authentik"),
    text(
        "AUTHENTIK_REFRESH_TOKEN_URL",
        example="https://authentik.example.com/application/o/token/",
        origin="Reflector",
    ).with_help("Accepted without effect: sessions are not refreshed at authentik."),
)

OIDC = Section(
    "Sign-in through OpenID Connect, Mage's names",
    "One more provider; its id is oidc.",
    text(
        "OIDC_DISCOVERY_URL",
        example="https://id.example.com/.well-known/openid-configuration",
        check=check_issuer,
        origin="Mage",
    ).with_help("The URL of the provider's discovery document, or its issuer."),
    text("OIDC_CLIENT_ID", example="gatehouse", origin="Mage").with_help(
        "The client id of Gatehouse at the provider."
    ),
    secret("OIDC_CLIENT_SECRET", origin="Mage").with_help(
        "The client secret of Gatehouse at the provider."
    ),
    text(
        "OIDC_ROLES_MAPPING",
        example='{"Data": ["Editor"], "Everybody": "Viewer"}',
        check=check_mapping,
        origin="Mage",
    ).with_help(
        "JSON that maps groups, from the claims user_roles, groups or roles, to a role or to a "
        "list of roles. The highest role wins. Only a group that is mapped to owner makes owners."
    ),
    _groups("OIDC", ", from the claims user_roles, groups or roles,"),
    text("OIDC_BUTTON_LABEL", default="OpenID Connect", example="Example Inc.").with_help(
        "The name of the provider on its button."
    ),
    trust_email("OIDC", "the provider"),
    internal_url("OIDC"),
    callback("OIDC", "/oauth/oidc/callback", "the provider"),
    switch("UPDATE_ROLES_ON_LOGIN", default=False, origin="Mage").with_help(
        "Whether roles that are mapped from groups are updated at each sign-in. If false, they are "
        "set when the account is created. Roles from an LDAP directory are updated unless you set "
        "false explicitly."
    ),
)
