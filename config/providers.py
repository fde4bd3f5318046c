"""Makes the sign-in providers from the settings, in the order of their buttons."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from accounts.roles import Role
from config.environment.cross_checks.sign_in import (
    callback_path,
    configured_ids,
    names_of,
)
from config.environment.cross_checks.sso_providers import (
    LABELS,
    MICROSOFT,
    is_social,
    issuer_of,
    listed,
    prefix_of,
)
from config.environment.parsing.group_names import parse_groups_mapping
from config.environment.parsing.role_names import parse_mapping, parse_sync_role
from config.environment.registry.allauth_providers import label_of
from federation.group_mapping import GroupMapping, GroupRule
from federation.providers import OIDC, Provider, SignInSource
from federation.role_mapping import ClaimPath, Requirement, RoleMapping, RoleRule

Values = Mapping[str, Any]

OIDC_SCOPES = ("openid", "profile", "email")
# Subclasses of allauth's providers, and settings that keep the answers short.
OUR_SETTINGS: dict[str, dict[str, Any]] = {
    "apple": {"provider_class": "federation.social.apple.AppleProvider"},
    "discord": {"provider_class": "federation.social.providers.DiscordProvider"},
    "facebook": {"FIELDS": ["id", "name", "email"]},
    "github": {"provider_class": "federation.social.providers.GitHubProvider"},
}
MICROSOFT_HOSTS = ("login.microsoftonline.com", "login.microsoftonline.us", "sts.windows.net")
USUAL_CLAIMS = {
    "email": ("email", "preferred_username", "upn"),
    "name": ("name",),
    "username": ("preferred_username", "username", "cognito:username"),
}
MAGE_CLAIMS = ("user_roles", "groups", "roles")


def sign_in_providers(values: Values) -> tuple[Provider, ...]:
    """Every provider with a button; none with ALLOW_SOCIAL_LOGIN=false. `values` have no errors."""
    if not values["ALLOW_SOCIAL_LOGIN"]:
        return ()
    return tuple(_provider(provider, values) for provider in configured_ids(values))


def internal_urls(values: Values) -> dict[str, str]:
    """Public origin of an issuer -> where this server reaches it."""
    found: dict[str, str] = {}
    for provider in configured_ids(values):
        issuer_name = names_of(provider, values).issuer
        if not issuer_name:
            continue
        inner = (
            values[f"{issuer_name.rpartition('_')[0]}_INTERNAL_URL"]
            if (not issuer_name.endswith("_DISCOVERY_URL"))
            else values["OIDC_INTERNAL_URL"]
        )
        if inner:
            issuer = urlsplit(values[issuer_name] or issuer_of(provider, values))
            found[f"{issuer.scheme}://{issuer.netloc}".lower()] = inner
    return found


def ca_file(values: Values) -> str:
    """The file of PROVIDER_CA_CERT_PATH, or ""."""
    return str(values["PROVIDER_CA_CERT_PATH"] or "")


def _provider(provider: str, values: Values) -> Provider:
    if is_social(provider, values):
        return _social(provider, values)
    return _oidc(provider, values)


def _social(provider: str, values: Values) -> Provider:
    names = names_of(provider, values)
    label = _listed_label(provider, values) or label_of(provider)
    source = SignInSource(
        provider,
        label,
        allows_registration=values["ALLOW_SOCIAL_REGISTRATION"],
        trusts_email=_is_trusted(provider, values),
        default_role=Role(values["DEFAULT_ROLE"]),
        groups=_groups(
            f"{provider.upper()}_GROUPS_MAPPING",
            (values[f"{provider.upper()}_GROUPS_CLAIM"],),
            values,
        ),
        groups_setting=f"{provider.upper()}_GROUPS_MAPPING",
    )
    options = _options(provider, values)
    return Provider(
        source,
        kind=provider,
        client_id=values[names.client_id],
        # Of Apple allauth takes the id of the key that signs the secret.
        client_secret=values[names.secret or "APPLE_KEY_ID"],
        issuer=_authority(provider, values),
        callback_path=callback_path(provider, values),
        assumes_email_verified=values[names.trust],
        options=options,
    )


def _authority(provider: str, values: Values) -> str:
    """Which server, tenant or site assigns the subjects, if the settings choose one.

    Every text among <ID>_SETTINGS counts: at another server the same id is another person.
    """
    if provider == "github":
        return str(values["GITHUB_ENTERPRISE_BASE_URL"] or "").rstrip("/")
    texts = [text for text in _allauth_settings(provider, values).values() if isinstance(text, str)]
    return " ".join(sorted(texts))


def _allauth_settings(provider: str, values: Values) -> dict[str, Any]:
    return values.get(f"{provider.upper()}_SETTINGS") or {}


def allauth_settings(values: Values) -> dict[str, dict[str, Any]]:
    """SOCIALACCOUNT_PROVIDERS of allauth: settings of the providers, without secrets of ours."""
    found: dict[str, dict[str, Any]] = {name: dict(own) for name, own in OUR_SETTINGS.items()}
    for provider in configured_ids(values):
        found.setdefault(provider, {}).update(_allauth_settings(provider, values))
    if values["GITHUB_ENTERPRISE_BASE_URL"]:
        found["github"]["GITHUB_URL"] = values["GITHUB_ENTERPRISE_BASE_URL"]
    return found


def _options(provider: str, values: Values) -> dict[str, Any]:
    """Settings of allauth's app: of Apple the team (key) and the private key (certificate_key)."""
    if provider == "github":
        return {"user_agent": values["GITHUB_ENTERPRISE_USER_AGENT"] or ""}
    if provider == "apple":
        file = values["DATA_DIR"] / values["APPLE_PRIVATE_KEY_PATH"]
        return {"KEY": values["APPLE_TEAM_ID"], "certificate_key": file.read_text()}
    return _allauth_settings(provider, values)


def _oidc(provider: str, values: Values) -> Provider:
    names = names_of(provider, values)
    issuer = values[names.issuer] or issuer_of(provider, values)
    is_openid = provider == "openid"
    groups_setting, groups_claims = _groups_of(provider, values)
    source = SignInSource(
        provider,
        _label(provider, values),
        allows_registration=values["OPENID_REGISTRATION"],
        trusts_email=_is_trusted(provider, values),
        default_role=Role(values["OPENID_DEFAULT_ROLE"]),
        mapping=_mapping(provider, values),
        groups=_groups(groups_setting, groups_claims, values),
        groups_setting=groups_setting,
    )
    return Provider(
        source,
        kind=OIDC,
        client_id=values[names.client_id],
        client_secret=values[names.secret],
        issuer=issuer,
        scopes=_scopes(values) if is_openid else OIDC_SCOPES,
        callback_path=callback_path(provider, values),
        image_url=_image(values) if is_openid else "",
        assumes_email_verified=values[names.trust],
        audience=(values["OPENID_AUDIENCE"] or "") if is_openid else "",
        leeway=values["OPENID_CLOCK_TOLERANCE"],
        uses_pkce=values["OPENID_USE_PKCE"] if is_openid else True,
        uses_nonce=values["OPENID_GENERATE_NONCE"] if is_openid else True,
        ends_session=values["OPENID_USE_END_SESSION_ENDPOINT"],
        post_logout_url=values["OPENID_POST_LOGOUT_REDIRECT_URI"],
        max_logout_url=values["OPENID_MAX_LOGOUT_URL_LENGTH"],
        claims=_claims(values) if is_openid else USUAL_CLAIMS,
        options={"subject": "tid:oid"} if _is_microsoft(provider, issuer) else {},
    )


def _is_microsoft(provider: str, issuer: str) -> bool:
    return provider in MICROSOFT or urlsplit(issuer).hostname in MICROSOFT_HOSTS


def _is_trusted(provider: str, values: Values) -> bool:
    return provider in [name.lower() for name in values["TRUSTED_EMAIL_PROVIDERS"]]


def _listed_label(provider: str, values: Values) -> str:
    """What AUTH_<PROVIDER>_LABEL says, for a provider of the list."""
    label: str = values[f"{prefix_of(provider)}_LABEL"] if provider in listed(values) else ""
    return label or ""


def _label(provider: str, values: Values) -> str:
    own = {"openid": "OPENID_BUTTON_LABEL", "oidc": "OIDC_BUTTON_LABEL"}.get(provider)
    usual = values[own] if own else LABELS.get(provider, provider.replace("-", " ").capitalize())
    return _listed_label(provider, values) or usual


def _scopes(values: Values) -> tuple[str, ...]:
    """As written; `openid` is what makes it OpenID Connect."""
    written = values["OPENID_SCOPE"].split()
    return tuple(dict.fromkeys(["openid", *written]))


def _image(values: Values) -> str:
    """Only an image of this site: the pages load nothing from elsewhere."""
    image: str = values["OPENID_IMAGE_URL"] or ""
    return image if image.startswith("/") and not image.startswith("//") else ""


def _claims(values: Values) -> dict[str, tuple[str, ...]]:
    """Our name -> its claims there; only the configured one if there is one."""
    written = {name: values[f"OPENID_{name.upper()}_CLAIM"] for name in USUAL_CLAIMS}
    return {name: (claim,) if (claim := written[name]) else usual
            for name, usual in USUAL_CLAIMS.items()}  # fmt: skip


def _mapping(provider: str, values: Values) -> RoleMapping:
    if provider == "openid":
        return _openid_mapping(values)
    if provider == "oidc":
        return _group_mapping("OIDC_ROLES_MAPPING", MAGE_CLAIMS, values)
    return _group_mapping("SSO_ROLES_MAPPING", _listed_claims(provider, values), values)


def _listed_claims(provider: str, values: Values) -> tuple[str, ...]:
    """The claims with the groups of a provider of the list."""
    own = ("cognito:groups",) if provider == "cognito" else ()
    return (*values["SSO_ROLES_CLAIM"], *own)


def _groups_of(provider: str, values: Values) -> tuple[str, tuple[str, ...]]:
    """The variable that maps groups, and the claims with them, for OpenID Connect."""
    if provider == "openid":
        return "OPENID_GROUPS_MAPPING", (values["OPENID_GROUPS_CLAIM"],)
    if provider == "oidc":
        return "OIDC_GROUPS_MAPPING", MAGE_CLAIMS
    return "SSO_GROUPS_MAPPING", _listed_claims(provider, values)


def _groups(name: str, claims: tuple[str, ...], values: Values) -> GroupMapping:
    """Values in any of `claims`."""
    entries = parse_groups_mapping(values[name]) if values[name] else ()
    paths = tuple(ClaimPath(claim) for claim in claims)
    return GroupMapping(tuple(GroupRule(paths, value, names) for value, names in entries))


def _group_mapping(name: str, claims: tuple[str, ...], values: Values) -> RoleMapping:
    """Groups in any of `claims`; the highest role wins."""
    rules = tuple(
        RoleRule(ClaimPath(claim), frozenset({group}), role)
        for group, role in parse_mapping(values[name] or "")
        for claim in claims
    )
    return RoleMapping(rules=rules, updates=values["UPDATE_ROLES_ON_LOGIN"])


def _openid_mapping(values: Values) -> RoleMapping:
    """LibreChat's: required role, admin role, synchronised roles; at each sign-in, as there."""
    required, admin = (
        _values_at(f"OPENID_{which}_ROLE", values) for which in ("REQUIRED", "ADMIN")
    )
    rules = [RoleRule(path, wanted, Role.ADMIN) for path, wanted in admin]
    default = None
    if values["OPENID_ROLE_SYNC_ENABLED"]:
        path = ClaimPath(values["OPENID_ROLE_SYNC_CLAIM"], values["OPENID_ROLE_SYNC_SOURCE"])
        for text in values["OPENID_ROLE_SYNC_ROLE_PRIORITY"]:
            group, role = parse_sync_role(text)
            rules.append(RoleRule(path, frozenset({group}), role))
        fallback = values["OPENID_ROLE_SYNC_FALLBACK_ROLE"]
        default = Role(fallback) if fallback else None
    requirements = tuple(Requirement(path, wanted) for path, wanted in required)
    return RoleMapping(requirements, tuple(rules), default, updates=bool(rules))


def _values_at(prefix: str, values: Values) -> list[tuple[ClaimPath, frozenset[str]]]:
    """One pair of path and wanted values, or none."""
    if not values[prefix]:
        return []
    path = ClaimPath(values[f"{prefix}_PARAMETER_PATH"], values[f"{prefix}_TOKEN_KIND"])
    return [(path, frozenset(values[prefix]))]


def auto_redirect(values: Values) -> str:
    """The id of the provider to which the sign-in page redirects, or ""."""
    is_on = values["OPENID_AUTO_REDIRECT"] and values["OPENID_CLIENT_ID"]
    return "openid" if is_on and values["ALLOW_SOCIAL_LOGIN"] else ""
