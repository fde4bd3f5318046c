"""How the description of the API introduces itself; for settings.SPECTACULAR_SETTINGS."""

INTRODUCTION = """\
Everything that users and administrators can do in Gatehouse, for programs. Send and expect JSON.
Paths have no trailing slash. A field that an operation does not have is refused.

**Credentials.** An API key (`X-API-Key: gth_…`, `Authorization: Bearer gth_…`, or the password of
`Authorization: Basic …` with any user name), an access token (`Authorization: Bearer …`), or the
session of a signed-in browser with the header `X-CSRF-Token` or `X-CSRFToken`. Token and key
together must belong to one user and allow what both allow. A wrong credential is refused, never
ignored.

**Lists** contain `next`, `previous` and `results`, newest first. Call `next` as it is until it is
null. `limit` is the number of rows, 1 to 200.

**Recent sign-in.** An operation with this mark asks a browser session, and a token created from
one, for a sign-in or a confirmation at `/confirm` in the last 15 minutes, else 403
`confirmation_needed`. API keys and tokens of a password are exempt.
"""
TAGS = [
    {
        "name": "auth",
        "x-displayName": "Sign-in and tokens",
        "description": "Sign in and out, refresh tokens, request sign-in links.",
    },
    {
        "name": "me",
        "x-displayName": "Your account",
        "description": "Your own account, sign-ins and data.",
    },
    {
        "name": "api-keys",
        "x-displayName": "Your API keys",
        "description": "API keys let scripts act on your behalf, within the scopes you choose.",
    },
    {
        "name": "users",
        "x-displayName": "Users",
        "description": (
            "User management: administrators may manage users of a lower rank than their own, "
            "owners may manage all."
        ),
    },
    {
        "name": "invitations",
        "x-displayName": "Invitations",
        "description": "Links with which users create their own accounts.",
    },
    {
        "name": "access-reviews",
        "x-displayName": "Access reviews",
        "description": (
            "Lists of accounts whose access reviewers confirm or take away until a date."
        ),
    },
    {
        "name": "access-rules",
        "x-displayName": "Access rules",
        "description": (
            "Who may enter the apps behind a proxy. The first enabled rule that matches a request "
            "decides. Administrators read rules, owners change them."
        ),
    },
    {
        "name": "refusals",
        "x-displayName": "Refusals",
        "description": "Requests to apps that were refused in the last 7 days, and why.",
    },
    {
        "name": "webhooks",
        "x-displayName": "Webhooks",
        "description": (
            "Events for other systems, signed as Standard Webhooks specifies. Administrators read, "
            "test and send again; owners change webhooks."
        ),
    },
    {
        "name": "moderation",
        "x-displayName": "Moderation",
        "description": "Limits, violations and bans.",
    },
    {
        "name": "mail",
        "x-displayName": "Mail",
        "description": "Check whether mail can be sent.",
    },
    {
        "name": "audit-events",
        "x-displayName": "Audit log",
        "description": "Who did what, when, from where.",
    },
    {
        "name": "schema",
        "x-displayName": "OpenAPI",
        "description": "This description for programs.",
    },
    {
        "name": "docs",
        "x-displayName": "Reference",
        "description": "This description for people.",
    },
]
SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token, or an API key.",
    },
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "An API key as the password, with any user name.",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key: `gth_…`.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-gatehouse_session",
        "description": (
            "The session of a signed-in browser; without TLS the cookie is `gatehouse_session`. "
            "Changes need the header `X-CSRF-Token`, with the value that the same header of the "
            "answer to any GET had."
        ),
    },
}
SPECTACULAR = {
    "TITLE": "Gatehouse API",
    "VERSION": "1",
    "DESCRIPTION": INTRODUCTION,
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVERS": [{"url": "/", "description": "The server that shows this."}],
    "TAGS": TAGS,
    "APPEND_COMPONENTS": {"securitySchemes": SECURITY_SCHEMES},
    "COMPONENT_SPLIT_REQUEST": True,
    "COMPONENT_SPLIT_PATCH": False,
    "ENUM_NAME_OVERRIDES": {
        "ApprovalState": "accounts.models.ApprovalRequest.State",
        "Role": "accounts.models.ROLE_LABELS",
        "AccountKind": "accounts.models.Kind",
        "SessionKind": "api.serializers.SESSION_KINDS",
        "InvitationState": "api.serializers.INVITATION_STATES",
        "KeyState": "api.views.apikeys.STATES",
        "RuleRole": "forward_auth.models.AccessRule.LEVELS",
        "Condition": "forward_auth.rules.matching.Condition",
        "MatchState": "forward_auth.rules.matching.MatchState",
        "HttpMethod": "forward_auth.rules.validation.METHODS",
        "EventType": "webhooks.api.endpoints.EVENT_TYPES",
        "WebhookDisabledReason": "webhooks.api.endpoints.DISABLED_REASONS",
        "DeliveryStatus": "webhooks.api.deliveries.STATUSES",
    },
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "ENABLE_DJANGO_DEPLOY_CHECK": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "api.schema.add_problems",
    ],
}
