"""The declaration table: every setting of this version, each once, in the order of resolving.

A default that is derived from other settings may read only those declared before it.
"""

from config.environment.declare import Section, Variable
from config.environment.sections import (
    actions,
    anonymous,
    api,
    apikeys,
    core,
    cors,
    factors,
    foreign,
    forward,
    ldap,
    mail,
    moderation,
    monitoring,
    oidc,
    people,
    social,
    tokens,
)

SECTIONS: tuple[Section, ...] = (
    core.SITE,
    core.SECRETS,
    core.SERVERS,
    core.NETWORK,
    monitoring.MONITORING,
    people.SIGN_IN,
    social.SOCIAL,
    oidc.OPENID,
    oidc.OPENID_ROLES,
    oidc.LISTED,
    oidc.AUTHENTIK,
    oidc.OIDC,
    factors.FACTORS,
    people.LIMITS,
    moderation.BANS,
    moderation.MESSAGES,
    actions.ACTIONS,
    people.MAGIC_LINKS,
    people.FIRST_RUN,
    mail.RESEND,
    mail.SMTP,
    mail.OUTBOX,
    api.API,
    cors.CORS,
    tokens.TOKENS,
    apikeys.API_KEYS,
    foreign.FOREIGN,
    forward.FORWARD,
    ldap.LDAP,
    anonymous.ANONYMOUS,
)
VARIABLES: tuple[Variable, ...] = tuple(
    variable for section in SECTIONS for variable in section.variables
)
BY_NAME: dict[str, Variable] = {variable.name: variable for variable in VARIABLES}
