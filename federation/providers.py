"""Sign-in providers as values, which config makes from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings

from accounts.roles import Role
from core.errors import NotFound
from federation.group_mapping import GroupMapping
from federation.role_mapping import RoleMapping

OIDC = "oidc"


@dataclass(frozen=True, slots=True)
class SignInSource:
    """What an external source of sign-ins may do; shared by providers and LDAP.

    id: names the source in URLs, in ExternalIdentity.provider and in the audit log.
    allows_registration: may unknown users get an account?
    trusts_email: may a verified address connect to an account that is already in use?
    needs_email: refuse users without an address; otherwise they get a placeholder address.
    default_role: of a new user when the mapping does not decide.
    groups: which groups the source puts people into. groups_setting: the variable that says so.
    """

    id: str
    label: str
    allows_registration: bool = False
    trusts_email: bool = False
    needs_email: bool = True
    default_role: Role = Role.NONE
    mapping: RoleMapping = field(default_factory=RoleMapping)
    groups: GroupMapping = field(default_factory=GroupMapping)
    groups_setting: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """One configured provider.

    kind: OIDC, or the id of a provider of allauth. issuer: who assigns the subjects, because a
    subject is unique only together with it: of OIDC the issuer, without slash and discovery suffix;
    of others the server or tenant in the settings, "" for vendors with a single one.
    callback_path: where the provider redirects to, as registered there.
    image_url: a custom image for the button, or "".
    leeway: tolerated clock skew. claims: field ("email", "name", "username") -> names of claims,
    in order of preference. options: settings of this kind alone, for others than OIDC those that
    allauth documents for the app; secret, like client_secret.
    """

    source: SignInSource
    kind: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    issuer: str = ""
    scopes: tuple[str, ...] = ()
    callback_path: str = ""
    image_url: str = ""
    audience: str = ""
    leeway: timedelta = timedelta(minutes=5)
    # Treat every address of this provider as verified, because the administrator trusts it.
    assumes_email_verified: bool = False
    uses_pkce: bool = True
    uses_nonce: bool = True
    ends_session: bool = False
    post_logout_url: str = ""
    max_logout_url: int = 2000
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        return self.source.id

    @property
    def label(self) -> str:
        return self.source.label

    @property
    def redirect_uri(self) -> str:
        """The redirect URI that is registered at the provider."""
        return f"{settings.PUBLIC_URL}{self.callback_path}"


def configured() -> tuple[Provider, ...]:
    """Every provider with a button, in the order of the buttons."""
    found: tuple[Provider, ...] = settings.SIGN_IN_PROVIDERS
    return found


def find(provider_id: str) -> Provider:
    """The configured provider with that id. Raises NotFound."""
    for provider in configured():
        if provider.id == provider_id:
            return provider
    raise NotFound
