"""The configuration of the directory, which config makes from the environment. Pure."""

from dataclasses import dataclass, field, replace

from accounts.sign_in.methods import DIRECTORY
from federation.ldap.filters import FilterTemplate
from federation.providers import SignInSource

PROVIDER = DIRECTORY  # of SignInSource.id and ExternalIdentity.provider
STEP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class LDAPConfig:
    """One directory, and how users are found in it.

    bind_dn: of the service account, "" for anonymous searches. starts_tls: StartTLS on ldap://.
    ca_file: PEM, "" for the system's own. access_filter: users that it does not find are not
    admitted. group_filter: finds the groups of a user, in place of group_field. id_field: used only
    if the directory has no stable id of its own. name_fields: joined. admin_username: becomes the
    owner of an instance without one. is_exclusive: local passwords work for owners only.
    step_seconds: the longest wait for each answer.
    """

    url: str
    base_dn: str
    user_filter: FilterTemplate
    source: SignInSource
    bind_dn: str = ""
    bind_password: str = field(default="", repr=False)
    starts_tls: bool = False
    verifies_certificate: bool = True
    ca_file: str = ""
    access_filter: FilterTemplate | None = None
    group_base_dn: str = ""
    group_field: str = "memberOf"
    group_filter: FilterTemplate | None = None
    id_field: str = ""
    username_fields: tuple[str, ...] = ("uid", "sAMAccountName")
    email_field: str = "mail"
    name_fields: tuple[str, ...] = ()
    admin_username: str = ""
    email_is_verified: bool = True
    is_exclusive: bool = False
    step_seconds: float = STEP_SECONDS
    # Tried in this order if `url` does not answer; StartTLS on each that is ldap://.
    fallback_urls: tuple[str, ...] = ()
    uses_starttls_on_fallbacks: bool = False

    @property
    def servers(self) -> tuple["LDAPConfig", ...]:
        """The same directory at each of its servers, in order."""
        further = (
            replace(
                self,
                url=url,
                starts_tls=self.uses_starttls_on_fallbacks and url.startswith("ldap://"),
            )
            for url in self.fallback_urls
        )
        return (self, *further)

    @property
    def uses_tls(self) -> bool:
        return self.starts_tls or self.url.startswith("ldaps://")
