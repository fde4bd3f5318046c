"""Settings of sign-in by OpenID Connect: LibreChat's, Reflector's, LobeChat's and Mage's names."""

from datetime import timedelta

from config.environment.parsing.role_names import check_fallback, check_mapping, check_sync_roles
from config.environment.registry.external_jwt import check_issuer
from config.environment.registry.social import callback, internal_url, trust_email
from config.environment.schema import Alias, Kind, Section, Variable

TOKEN_KINDS = ("id", "access", "userinfo")


def _text(name: str, text: str, example: str, origin: str = "LibreChat") -> Variable:
    return Variable(name=name, kind=Kind.TEXT, example=example, origin=origin, help=text)


def _switch(name: str, default: str, text: str, origin: str = "LibreChat") -> Variable:
    example = "false" if default == "true" else "true"
    return Variable(
        name=name, kind=Kind.BOOL, default=default, example=example, origin=origin, help=text
    )


def _secret(name: str, text: str, origin: str, alias: str = "") -> Variable:
    aliases = (Alias(alias, "LobeChat"),) if alias else ()
    return Variable(name=name, kind=Kind.SECRET, origin=origin, aliases=aliases, help=text)


def _issuer(name: str, text: str, example: str, origin: str) -> Variable:
    return Variable(
        name=name, kind=Kind.TEXT, check=check_issuer, example=example, origin=origin, help=text
    )


def _claim(which: str, what: str, usual: str) -> Variable:
    return Variable(
        name=f"OPENID_{which}_CLAIM",
        kind=Kind.TEXT,
        default_note=usual,
        example=f"custom_{which.lower()}",
        origin="LibreChat",
        help=f"The claim that holds the {what} of a person.",
    )


def _rule(prefix: str, effect: str, example: str) -> tuple[Variable, ...]:
    """Role, path and token kind of LibreChat's required and admin roles."""
    return (
        Variable(
            name=prefix,
            kind=Kind.LIST,
            default="",
            default_note="none",
            example=example,
            origin="LibreChat",
            help=f"{effect} One of a list is enough.",
        ),
        Variable(
            name=f"{prefix}_PARAMETER_PATH",
            kind=Kind.TEXT,
            default="roles",
            example="realm_access.roles",
            origin="LibreChat",
            help=f"Where the values of {prefix} stand: the name of a claim, or names with dots.",
        ),
        Variable(
            name=f"{prefix}_TOKEN_KIND",
            kind=Kind.CHOICE,
            choices=TOKEN_KINDS,
            default="id",
            example="access",
            origin="LibreChat",
            help=f"In which token, or in the answer of userinfo, the claim of {prefix} stands.",
        ),
    )


def _without_effect(name: str, why: str) -> Variable:
    return _text(name, f"Understood, without effect: {why}", "1")


OPENID = Section(
    "Sign-in through OpenID Connect",
    "One provider by LibreChat's names; it is called openid in addresses here. An issuer may be "
    "written with or without a slash at its end, or as the address of its discovery document.",
    *(
        _text("OPENID_CLIENT_ID", "The client id of Gatehouse at the provider.", "gatehouse"),
        _secret("OPENID_CLIENT_SECRET", "The client secret there.", "LibreChat"),
        _issuer(
            "OPENID_ISSUER",
            "The provider's issuer. Microsoft's has the id of one tenant in it.",
            "https://id.example.com/realms/team",
            "LibreChat",
        ),
        Variable(
            name="OPENID_SCOPE",
            kind=Kind.TEXT,
            default="openid profile email",
            example="openid profile email groups",
            origin="LibreChat",
            help="What Gatehouse asks the provider for, with spaces in between.",
        ),
        trust_email("OPENID", "the provider"),
        internal_url("OPENID"),
        callback("OPENID", "/oauth/openid/callback", "the provider", "LibreChat"),
        Variable(
            name="OPENID_BUTTON_LABEL",
            kind=Kind.TEXT,
            default="OpenID",
            example="Example Inc.",
            origin="LibreChat",
            help="The provider's name on its button.",
        ),
        Variable(
            name="OPENID_IMAGE_URL",
            kind=Kind.TEXT,
            example="/static/logo.svg",
            origin="LibreChat",
            help=(
                "An image on the button. Only images of this site are shown; the pages load "
                "nothing from elsewhere."
            ),
        ),
        _switch(
            "OPENID_AUTO_REDIRECT",
            "false",
            "Leads strangers from the sign-in page to the provider at once. "
            "/sign-in?local=1 shows the page, and so does a browser that has signed out.",
        ),
        _switch(
            "OPENID_REGISTRATION",
            "true",
            "Whether somebody who comes by a provider of OpenID Connect for the first time gets "
            "an account. ALLOWED_EMAILS counts here too.",
            "",
        ),
        Variable(
            name="OPENID_DEFAULT_ROLE",
            kind=Kind.CHOICE,
            choices=("none", "viewer", "editor"),
            default="none",
            example="viewer",
            aliases=(Alias("OAUTH_DEFAULT_ACCESS", "Mage"),),
            help=(
                "The role of a new person who comes by a provider of OpenID Connect when no rule "
                "for roles says another."
            ),
        ),
        _switch("OPENID_USE_PKCE", "true", "Binds the answer to its question by PKCE (S256)."),
        _switch(
            "OPENID_GENERATE_NONCE",
            "true",
            "Binds the ID token to this sign-in by a nonce; Cognito needs it.",
        ),
        _text("OPENID_AUDIENCE", "The API for which Auth0 makes access tokens.", "https://api"),
        Variable(
            name="OPENID_CLOCK_TOLERANCE",
            kind=Kind.DURATION,
            bare_unit="seconds",
            default="5m",
            example="300",
            minimum=timedelta(0),
            maximum=timedelta(minutes=10),
            origin="LibreChat",
            help="How far the clocks of providers of OpenID Connect may differ from ours.",
        ),
        _claim("EMAIL", "email address", "`email`, else `preferred_username`, else `upn`"),
        _claim("NAME", "name", "`name`, else `given_name` with `family_name`"),
        _claim("USERNAME", "user name", "`preferred_username`, else `username`"),
        _switch(
            "OPENID_USE_END_SESSION_ENDPOINT",
            "false",
            "Leads to the provider's own sign-out after a sign-out here.",
        ),
        Variable(
            name="OPENID_POST_LOGOUT_REDIRECT_URI",
            kind=Kind.URL,
            default_from=lambda values: f"{values['PUBLIC_URL']}/sign-in",
            default_note="the sign-in page",
            example="https://gate.example.com/sign-in",
            origin="LibreChat",
            help="Where the provider sends people after its sign-out, as registered there.",
        ),
        Variable(
            name="OPENID_MAX_LOGOUT_URL_LENGTH",
            kind=Kind.INTEGER,
            default="2000",
            example="4000",
            minimum=500,
            maximum=32_000,
            origin="LibreChat",
            help="A longer address of the provider's sign-out leaves the ID token out.",
        ),
        _secret(
            "OPENID_SESSION_SECRET",
            "Understood, without effect: sessions need no secret of their own here.",
            "LibreChat",
        ),
        _without_effect("OPENID_REUSE_TOKENS", "the provider's tokens open nothing here."),
        _without_effect("OPENID_REUSE_MAX_SESSION_AGE_MS", "see OPENID_REUSE_TOKENS."),
    ),
)

OPENID_ROLES = Section(
    "Roles from OpenID Connect",
    "Who may come in by openid and what a person is then, by LibreChat's names. These apply at "
    "each sign-in; a role that an operator has fixed stays.",
    *(
        *_rule("OPENID_REQUIRED_ROLE", "Whoever does not have it at the provider stays out.", "a"),
        *_rule("OPENID_ADMIN_ROLE", "Whoever has it is admin, and is none without it.", "admins"),
        _switch("OPENID_ROLE_SYNC_ENABLED", "false", "Takes the role from a claim."),
        Variable(
            name="OPENID_ROLE_SYNC_SOURCE",
            kind=Kind.CHOICE,
            choices=TOKEN_KINDS,
            default="id",
            example="userinfo",
            origin="LibreChat",
            help="In which token, or in the answer of userinfo, the claim stands.",
        ),
        _text(
            "OPENID_ROLE_SYNC_CLAIM", "The claim of the role, or names with dots.", "resource.roles"
        ),
        Variable(
            name="OPENID_ROLE_SYNC_ROLE_PRIORITY",
            kind=Kind.LIST,
            default="editor,viewer",
            check=check_sync_roles,
            example="staff:editor,viewer",
            origin="LibreChat",
            help=(
                "The values that give a role; the first that somebody has wins. A value that is "
                "no role here is written value:role. admin and owner are never given."
            ),
        ),
        Variable(
            name="OPENID_ROLE_SYNC_FALLBACK_ROLE",
            kind=Kind.TEXT,
            default_note="the value of `OPENID_DEFAULT_ROLE`",
            check=check_fallback,
            example="viewer",
            origin="LibreChat",
            help="The role of whoever has no value of the list.",
        ),
        _without_effect("OPENID_ROLE_SYNC_API_ENABLED", "the API shows roles always."),
    ),
)

LISTED = Section(
    "Providers of a list",
    "LobeChat's way: a list, and for each name in it `AUTH_<PROVIDER>_ID`, "
    "`AUTH_<PROVIDER>_SECRET`, `AUTH_<PROVIDER>_ISSUER`, and if wanted `AUTH_<PROVIDER>_LABEL` and "
    "`AUTH_<PROVIDER>_CALLBACK_URL` (`/api/auth/callback/<provider>`). The provider "
    "`microsoft-entra-id`, for example, has `AUTH_MICROSOFT_ENTRA_ID_ID`; it and `azure-ad` take "
    "`AUTH_<PROVIDER>_TENANT_ID` in place of an issuer. Google, GitHub, Discord, Facebook, Apple, "
    "authentik, openid and oidc may be named too, which puts their buttons into this order.",
    *(
        Variable(
            name="AUTH_SSO_PROVIDERS",
            kind=Kind.LIST,
            default="",
            default_note="none",
            example="authentik,github",
            aliases=(
                Alias("NEXT_AUTH_SSO_PROVIDERS", "LobeChat"),
                Alias("SSO_PROVIDERS", "LobeChat"),
            ),
            origin="LobeChat",
            help="The providers with a button, in the order of their buttons.",
        ),
        Variable(
            name="SSO_ROLES_MAPPING",
            kind=Kind.TEXT,
            check=check_mapping,
            example='{"Team leads": "admin", "Everybody": "viewer"}',
            help=(
                "JSON from groups at a provider of this list, or at authentik, to roles here. The "
                "highest wins. owner is given only where it is written."
            ),
        ),
        Variable(
            name="SSO_ROLES_CLAIM",
            kind=Kind.LIST,
            default="groups",
            default_note="`groups`, of cognito also `cognito:groups`",
            example="realm_access.roles",
            help="The claims that hold the groups, in the ID token or the answer of userinfo.",
        ),
    ),
)

AUTHENTIK = Section(
    "Sign-in through Authentik",
    "By Reflector's names, and LobeChat's. The issuer is AUTHENTIK_ISSUER.",
    *(
        Variable(
            name="AUTHENTIK_CLIENT_ID",
            kind=Kind.TEXT,
            example="gatehouse",
            origin="Reflector",
            aliases=(Alias("AUTH_AUTHENTIK_ID", "LobeChat"),),
            help="The client id of Gatehouse at Authentik. With it Authentik has a button.",
        ),
        _secret(
            "AUTHENTIK_CLIENT_SECRET",
            "The client secret there.",
            "Reflector",
            "AUTH_AUTHENTIK_SECRET",
        ),
        trust_email("AUTHENTIK", "Authentik"),
        internal_url("AUTHENTIK"),
        callback("AUTHENTIK", "/api/auth/callback/authentik", "Authentik"),
        Variable(
            name="AUTHENTIK_REFRESH_TOKEN_URL",
            kind=Kind.TEXT,
            example="https://authentik.example.com/application/o/token/",
            origin="Reflector",
            help="Understood, without effect: sessions here need no refresh at Authentik.",
        ),
    ),
)

OIDC = Section(
    "Sign-in through OpenID Connect, Mage's names",
    "One more provider, called oidc in addresses here.",
    *(
        _issuer(
            "OIDC_DISCOVERY_URL",
            "The address of the provider's discovery document, or its issuer.",
            "https://id.example.com/.well-known/openid-configuration",
            "Mage",
        ),
        _text("OIDC_CLIENT_ID", "The client id of Gatehouse there.", "gatehouse", "Mage"),
        _secret("OIDC_CLIENT_SECRET", "The client secret there.", "Mage"),
        Variable(
            name="OIDC_ROLES_MAPPING",
            kind=Kind.TEXT,
            check=check_mapping,
            example='{"Data": ["Editor"], "Everybody": "Viewer"}',
            origin="Mage",
            help=(
                "JSON from groups, in the claims user_roles, groups or roles, to a role here or a "
                "list of roles. The highest wins. owner is given only where it is written."
            ),
        ),
        Variable(
            name="OIDC_BUTTON_LABEL",
            kind=Kind.TEXT,
            default="OpenID Connect",
            example="Example Inc.",
            help="The provider's name on its button.",
        ),
        trust_email("OIDC", "the provider"),
        internal_url("OIDC"),
        callback("OIDC", "/oauth/oidc/callback", "the provider"),
        _switch(
            "UPDATE_ROLES_ON_LOGIN",
            "false",
            "Whether roles from a mapping of groups follow it at each sign-in. Otherwise they are "
            "given when the account is made. Roles from a directory (LDAP) follow it unless "
            "false is written here.",
            "Mage",
        ),
    ),
)
