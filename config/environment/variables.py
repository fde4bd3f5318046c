"""The declaration table: every setting of this version, each once, in the order of resolving.

A default that is derived from other settings may read only those declared before it.
"""

from config.environment.registry import (
    accounts,
    actions,
    anonymous,
    api,
    apikeys,
    audit,
    branding,
    core,
    cors,
    external_jwt,
    forward,
    ldap,
    mail,
    mfa,
    moderation,
    monitoring,
    oidc,
    scim,
    social,
    tokens,
    tracing,
    webhooks,
)
from config.environment.schema import Section, Variable

SECTIONS: tuple[Section, ...] = (
    core.SITE,
    core.SECRETS,
    core.SERVERS,
    core.NETWORK,
    branding.BRANDING,
    monitoring.MONITORING,
    tracing.TRACING,
    webhooks.WEBHOOKS,
    audit.AUDIT,
    accounts.SIGN_IN,
    social.SOCIAL,
    oidc.OPENID,
    oidc.OPENID_ROLES,
    oidc.LISTED,
    oidc.AUTHENTIK,
    oidc.OIDC,
    mfa.FACTORS,
    accounts.LIMITS,
    accounts.CHANGES,
    moderation.BANS,
    moderation.MESSAGES,
    actions.ACTIONS,
    accounts.MAGIC_LINKS,
    accounts.FIRST_RUN,
    mail.RESEND,
    mail.SMTP,
    mail.OUTBOX,
    api.API,
    cors.CORS,
    tokens.TOKENS,
    apikeys.API_KEYS,
    scim.SCIM,
    external_jwt.FOREIGN,
    forward.FORWARD,
    ldap.LDAP,
    anonymous.ANONYMOUS,
)
VARIABLES: tuple[Variable, ...] = tuple(
    variable for section in SECTIONS for variable in section.variables
)
BY_NAME: dict[str, Variable] = {variable.name: variable for variable in VARIABLES}
