"""The providers that people may sign in through: values, made by config from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings

from accounts.roles import Role
from core.errors import NotFound
from federation.role_mapping import RoleMapping

SOCIAL_KINDS = ("google", "facebook", "github", "discord", "apple")
OIDC = "oidc"


@dataclass(frozen=True, slots=True)
class SignInSource:
    """What a way in through somebody else may do here; the same for providers and LDAP.

    id: names it in addresses, in Identity.provider and in the audit log.
    allows_registration: may strangers get an account by it?
    trusts_email: may a verified address connect to an account that is in use (TRAPS 19)?
    needs_email: is somebody without an address refused? Else he gets one that receives nothing.
    default_role: of a new person when the mapping says nothing.
    """

    id: str
    label: str
    allows_registration: bool = False
    trusts_email: bool = False
    needs_email: bool = True
    default_role: Role = Role.NONE
    mapping: RoleMapping = field(default_factory=RoleMapping)


@dataclass(frozen=True, slots=True)
class Provider:
    """One configured provider.

    kind: one of SOCIAL_KINDS, or OIDC. issuer: of OIDC, without slash and discovery suffix.
    callback_path: where the provider sends people back, as registered there.
    image_url: an image of the operator's for the button, or "".
    leeway: tolerated difference of clocks. claims: our name ("email", "name", "username") -> its
    claims there, in order. options: what only this kind has (GitHub's base address, Apple's keys);
    secret, as client_secret.
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
    # Every address that it tells counts as verified, because the operator says so.
    assumes_email_verified: bool = False
    uses_pkce: bool = True
    uses_nonce: bool = True
    ends_session: bool = False
    post_logout_url: str = ""
    max_logout_url: int = 2000
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        return self.source.id

    @property
    def label(self) -> str:
        return self.source.label

    @property
    def authority(self) -> str:
        """Whose ids of people these are: the issuer, or the server that GitHub runs on.

        "" for vendors of whom there is one. An id means a person together with this alone.
        """
        return self.issuer or self.options.get("base_url", "").rstrip("/")


def configured() -> tuple[Provider, ...]:
    """Every provider with a button, in the order of the buttons; none while they are off."""
    found: tuple[Provider, ...] = settings.SIGN_IN_PROVIDERS
    return found


def find(provider_id: str) -> Provider:
    """The configured provider of that id. Raises NotFound (A105)."""
    for provider in configured():
        if provider.id == provider_id:
            return provider
    raise NotFound
